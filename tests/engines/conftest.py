"""The small package as a fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.package import EnginePackage
from engines.training.packaging import write_package

from .redness import POINT, RECIPE, noise_pictures, redness_layers


@pytest.fixture
def package(tmp_path: Path) -> EnginePackage:
    return write_package(
        tmp_path / "redness", RECIPE, redness_layers(), input_scale=1 / 64, pictures=noise_pictures(), point=POINT
    )
