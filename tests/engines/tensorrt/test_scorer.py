"""A package scored on the GPU: the same maps and detections as any scorer gives, and who answered."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.errors import BadInput, EngineError
from engines.package import EnginePackage, load_package, shipped
from engines.tensorrt.errors import EngineFailed, EngineRefused
from engines.tensorrt.scorer import TensorRtScorer
from engines.tensorrt.signature import FrameSize, signature

from ..cuda.fake_cuda import FakeCuda
from .fake_tensorrt import plan

FRAME = FrameSize(60, 90)


@pytest.fixture(scope="module")
def package() -> EnginePackage:
    return load_package(shipped("serous"))


def engine_of(package: EnginePackage, answer: str = "mean") -> bytes:
    promised = signature(package, FRAME)
    inputs = {promised.input_name: list(promised.input_shape)}
    return plan(inputs, {promised.output_name: list(promised.output_shape)}, answer)


def test_a_field_is_scored_on_the_gpu_and_the_verdict_can_say_by_what(cuda: FakeCuda, package: EnginePackage) -> None:
    built = engine_of(package)
    scorer = TensorRtScorer(package, built, FRAME, cuda)
    stride, labels = package.manifest.output.stride, len(package.manifest.labels)
    picture = np.full((60, 90, 3), 51, np.uint8)
    maps = scorer.probabilities(picture)
    assert maps.shape == (labels, -(-60 // stride), -(-90 // stride))
    assert np.allclose(maps, 0.2)
    assert scorer.score(picture, package.manifest.scale.native_um_per_px) is not None
    told = scorer.backend
    assert (told.kind, told.onnx_sha256) == ("tensorrt", package.manifest.onnx.sha256)
    assert told.runtime == "TensorRT 10.3.0, 2 of 3 layers INT8, CUDA graphs"
    assert told.derived_sha256 == hashlib.sha256(built).hexdigest()
    scorer.close()
    scorer.close()
    assert not cuda.live
    assert cuda.depth == 0
    with pytest.raises(EngineError, match="closed"):
        scorer.probabilities(picture)


def test_fields_begun_in_one_thread_and_answered_in_another_keep_their_answers(
    cuda: FakeCuda, package: EnginePackage
) -> None:
    scorer = TensorRtScorer(package, engine_of(package), FRAME, cuda)
    begun: queue.Queue[Callable[[], np.ndarray]] = queue.Queue(maxsize=1)

    def begin() -> None:
        picture = np.empty((60, 90, 3), np.uint8)
        for value in range(100):
            picture.fill(value)  # the same memory each time: what was begun is the GPU's
            begun.put(scorer.start(picture))

    with ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(begin)
        said = [round(255 * float(begun.get(timeout=30)().mean())) for _ in range(100)]
        feeding.result()
    scorer.close()
    assert said == list(range(100))


def test_what_does_not_fit_is_refused(cuda: FakeCuda, package: EnginePackage) -> None:
    scorer = TensorRtScorer(package, engine_of(package), FRAME, cuda)
    with pytest.raises(EngineFailed, match="built for"):
        scorer.probabilities(np.zeros((60, 91, 3), np.uint8))
    with pytest.raises(BadInput, match="µm/px"):
        scorer.score(np.zeros((60, 90, 3), np.uint8), 9.0)
    scorer.close()


def test_an_engine_of_another_package_is_refused_and_the_gpu_given_back(cuda: FakeCuda, package: EnginePackage) -> None:
    other = plan({"picture": [1, 60, 90, 3]}, {"maps": [1, 2, 8, 12]})
    with pytest.raises(EngineRefused, match="promises"):
        TensorRtScorer(package, other, FRAME, cuda)
    assert cuda.depth == 0
