"""What the driver is asked before TensorRT is touched, and what is said where no GPU can be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.cuda.probe import Gpu, GpuAbsent, probe

from .stand_in import StandIn


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    """Under a name of its own: other tests of this process look for theirs by the real name."""
    return StandIn(tmp_path_factory.mktemp("cuda"), "libcuda-probed.so")


@pytest.fixture
def driver(library: StandIn) -> Iterator[StandIn]:
    yield library
    library.fail()
    library.devices(1)


def test_a_gpu_is_described_as_its_driver_does_and_no_context_is_made(driver: StandIn) -> None:
    assert probe(str(driver.path)) == Gpu("Orin (stands in)", "8.7", "13.4")
    assert (driver.live(), driver.depth) == ({}, 0)


def test_without_the_library_it_says_what_to_install() -> None:
    with pytest.raises(GpuAbsent, match=r"no CUDA driver here \(libno-such-driver.so.1.*Install JetPack"):
        probe("libno-such-driver.so.1")


def test_a_library_that_is_no_driver_is_named() -> None:
    with pytest.raises(GpuAbsent, match=r"libm.so.6 is no CUDA driver .*cuInit"):
        probe("libm.so.6")


def test_a_file_that_is_no_library_is_no_driver(tmp_path: Path) -> None:
    wrong = tmp_path / "libcuda.so.1"
    wrong.write_text("not a library")
    with pytest.raises(GpuAbsent, match="no CUDA driver here"):
        probe(str(wrong))


def test_a_driver_without_a_gpu_says_so(driver: StandIn) -> None:
    driver.devices(0)
    with pytest.raises(GpuAbsent, match=r"sees no GPU: CUDA_ERROR_NO_DEVICE \(100\).*nvidia-smi"):
        probe(str(driver.path))


def test_a_gpu_that_is_not_counted_is_absent(driver: StandIn) -> None:
    with pytest.raises(GpuAbsent, match="no GPU number 1; it counts 1"):
        probe(str(driver.path), ordinal=1)


def test_not_supported_names_the_render_node_of_a_jetson(driver: StandIn) -> None:
    driver.fail("cuInit", 801)
    with pytest.raises(GpuAbsent, match=r"CUDA_ERROR_NOT_SUPPORTED \(801\).*/dev/dri/renderD\*"):
        probe(str(driver.path))


@pytest.mark.parametrize(
    ("call", "status", "said"),
    [("cuInit", 999, r"CUDA_ERROR_UNKNOWN \(999\)"), ("cuDeviceGetName", 46, r"error 46")],
)
def test_any_other_refusal_has_the_call_and_the_name_of_its_status(
    driver: StandIn, call: str, status: int, said: str
) -> None:
    driver.fail(call, status)
    with pytest.raises(GpuAbsent, match=rf"refused {call}: {said}\."):
        probe(str(driver.path))
