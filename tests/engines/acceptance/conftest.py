"""A small real package, and golden fields made with it by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.acceptance.golden import FOLDER, Golden, load_golden
from engines.acceptance.make import make_golden
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.training.packaging import write_package

from ..redness import POINT, RECIPE, noise_pictures, redness_layers
from .pictures import some_pictures


@pytest.fixture(scope="session")
def redness(tmp_path_factory: pytest.TempPathFactory) -> EnginePackage:
    folder = tmp_path_factory.mktemp("package") / "redness"
    return write_package(folder, RECIPE, redness_layers(), input_scale=1 / 64, pictures=noise_pictures(), point=POINT)


@pytest.fixture(scope="session")
def cpu(redness: EnginePackage) -> OnnxCpuScorer:
    return OnnxCpuScorer(redness)


@pytest.fixture(scope="session")
def folder(redness: EnginePackage, cpu: OnnxCpuScorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Golden fields on disk; a test that alters them copies them first."""
    made = tmp_path_factory.mktemp("made") / FOLDER
    make_golden(redness, some_pictures(), made, cpu.score)
    return made


@pytest.fixture(scope="session")
def golden(folder: Path) -> Golden:
    return load_golden(folder)
