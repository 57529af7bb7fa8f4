"""Building: what goes in, what is told on the way, and why it failed."""

from __future__ import annotations

import pytest

from engines.tensorrt.build import BuildOrder, build
from engines.tensorrt.errors import BuildFailed
from engines.tensorrt.inspection import summarise

from ..cuda.fake_cuda import FakeCuda
from .fake_tensorrt import BEHAVIOUR, plan

ORDER = BuildOrder(b"onnx:picture:mean", "picture", 16, 24)


def test_a_build_gives_an_engine_of_one_size_and_its_timing_cache(cuda: FakeCuda) -> None:
    told: list[tuple[str, int, int]] = []

    def progress(*step: object) -> bool:
        told.append(step)  # type: ignore[arg-type]
        return True

    built = build(ORDER, progress)
    assert built.plan == plan({"picture": [1, 16, 24, 3]}, {"maps": [1, 2, 2, 3]})
    assert built.timing_cache == b"+"
    assert built.messages == ("warning: a slow layer",)
    assert built.tensorrt == "10.3.0"
    assert told == [("Building", 0, 2), ("Building", 1, 2), ("Building", 2, 2), ("Building", 2, 2)]


@pytest.mark.parametrize(("before", "after"), [(b"mine", b"mine+"), (b"other device", b"+")])
def test_a_timing_cache_of_this_device_is_used_and_another_is_begun_anew(
    cuda: FakeCuda, before: bytes, after: bytes
) -> None:
    order = BuildOrder(ORDER.onnx, "picture", 16, 24, timing_cache=before)
    assert build(order).timing_cache == after


def test_a_build_can_be_stopped(cuda: FakeCuda) -> None:
    with pytest.raises(BuildFailed, match="was stopped"):
        build(ORDER, lambda *_: False)


@pytest.mark.parametrize(
    ("onnx", "behaviour", "words"),
    [
        (b"zip", {}, "not a model"),
        (b"onnx:picture,mask:mean", {}, "'mask'"),
        (b"onnx:image:mean", {}, "'image'"),
        (ORDER.onnx, {"build fails": "Could not infer output types for operation: dequantize"}, "dequantize"),
        (ORDER.onnx, {"no timing cache": True}, "no timing cache"),
    ],
)
def test_a_build_that_fails_says_why(cuda: FakeCuda, onnx: bytes, behaviour: dict[str, object], words: str) -> None:
    BEHAVIOUR.update(behaviour)
    with pytest.raises(BuildFailed, match=words):
        build(BuildOrder(onnx, "picture", 16, 24))


def test_layers_without_details_do_not_count_as_int8() -> None:
    assert str(summarise('{"Layers": ["conv1", "conv2"]}')) == "0 of 2 layers INT8"
    with pytest.raises(ValueError, match="no list"):
        summarise("[]")
