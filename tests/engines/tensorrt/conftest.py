"""`import tensorrt` finds the fake in these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..cuda.fake_cuda import FakeCuda
from . import fake_tensorrt

fake_tensorrt.install()


@pytest.fixture
def cuda() -> Iterator[FakeCuda]:
    """A GPU on which engines run, and a TensorRT that behaves."""
    gpu = FakeCuda()
    fake_tensorrt.GPU.append(gpu)
    fake_tensorrt.BEHAVIOUR.clear()
    yield gpu
    fake_tensorrt.GPU.clear()
    fake_tensorrt.BEHAVIOUR.clear()
