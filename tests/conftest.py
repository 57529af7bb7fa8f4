"""Fixtures that tests of every folder share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine; a search for new ones is `HYPOTHESIS_PROFILE=explore`.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures and focus curves; the test is skipped, saying so, where it is absent."""
    folder = Path(os.environ.get("CYTOSCAN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder.name}/; set CYTOSCAN_DATA to run this test")
    return folder
