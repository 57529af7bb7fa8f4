"""The small engine, a maker without releases, and a device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.releases.maker import Maker

from .small import Device, Engine, make_engine, memory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Version 1.2.3. Made once; a test that changes it takes another version of it."""
    return make_engine(tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def first_maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Made once; each test gets a copy."""
    return Maker(tmp_path_factory.mktemp("first") / "maker")


@pytest.fixture
def maker(first_maker: Maker, tmp_path: Path) -> Maker:
    return first_maker.copy(tmp_path / "maker")


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "device")
