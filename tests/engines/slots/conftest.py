"""An empty store and three releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.slots.store import SlotStore

from .life import write_release


@pytest.fixture
def store(tmp_path: Path) -> SlotStore:
    return SlotStore(tmp_path / "engines")


@pytest.fixture
def releases(tmp_path: Path) -> list[Path]:
    return [write_release(tmp_path / "releases" / f"r{number}", f"1.{number}.0") for number in (1, 2, 3)]
