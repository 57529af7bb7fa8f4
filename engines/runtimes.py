"""The runtimes of a device: what each makes of a package, and how each opens it. Which one reads is decided above."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from engines import durable
from engines.acceptance.belonging import check_sizes
from engines.acceptance.golden import Golden
from engines.building.record import PLAN, RECORD, load_build
from engines.building.runner import build_engine
from engines.cpu_choice import open_chosen
from engines.cuda.chosen import open_cuda
from engines.cuda.probe import Gpu
from engines.fingerprint import Build, Fingerprint, differs, fingerprint
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.scorer import Scorer
from engines.slots.slot import Slot
from engines.tensorrt.errors import EngineRefused
from engines.tensorrt.signature import FrameSize

GPU_KIND = "tensorrt"
"""`BackendInfo.kind` of what runs on a GPU."""
Progress = Callable[[str, int, int], None]
"""Told of phase, steps done, steps of the phase."""


class Runtime(Protocol):
    """One way to run packages on this device."""

    @property
    def device_class(self) -> str:
        """Whose latency budget holds (`engines.acceptance`)."""

    @property
    def gpu(self) -> Gpu | None:
        """What it runs on; None for the processor."""

    def check(self, package: EnginePackage, golden: Golden | None) -> None:
        """Asked before anything is changed. golden: on which the engine is to be tried; None: some are drawn later.

        Raises BadGolden where they do not fit, and what keeps the camera from being asked.
        """

    def build(self, package: EnginePackage, progress: Progress) -> dict[str, bytes]:
        """The files of a slot's `engine` folder, by name; none where nothing is built. Raises EngineError."""

    def build_of(self, engine: Path) -> Build | None:
        """How what lies in such a folder was built; None where nothing was. Raises BadBuild."""

    def open(self, package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:
        """Ready to score. engine: the slot's folder, None without a slot. Raises EngineError."""

    def reference(self, package: EnginePackage) -> Scorer | None:
        """What its answers are compared with; None where it is itself the reference."""


class CpuRuntime:
    """The processor. record: of the processor runtime that was measured fastest (`engines.cpu_choice`)."""

    device_class = "cpu"
    gpu: Gpu | None = None

    def __init__(self, record: Path) -> None:
        self._record = record

    def check(self, package: EnginePackage, golden: Golden | None) -> None:
        """Pictures of any size are read."""

    def build(self, package: EnginePackage, progress: Progress) -> dict[str, bytes]:  # noqa: ARG002
        """Nothing: the package's file runs as it is."""
        return {}

    def build_of(self, engine: Path) -> Build | None:  # noqa: ARG002
        """None."""
        return None

    def open(self, package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:  # noqa: ARG002
        """As `engines.cpu_choice` has it."""
        return open_chosen(package, self._record)

    def reference(self, package: EnginePackage) -> Scorer | None:  # noqa: ARG002
        """None."""
        return None


class GpuRuntime:
    """TensorRT on a GPU.

    frame: gives the size of the camera's pictures, for which engines are built. folder: for timing caches and the log
    of the last build. workspace_mib: see `engines.tensorrt.build`.
    """

    def __init__(self, gpu: Gpu, frame: Callable[[], FrameSize], folder: Path, workspace_mib: int = 1024) -> None:
        self._gpu = gpu
        self._frame = frame
        self._folder = folder
        self._workspace_mib = workspace_mib

    @property
    def device_class(self) -> str:
        """The GPU's name."""
        return self._gpu.name

    @property
    def gpu(self) -> Gpu | None:
        """The GPU."""
        return self._gpu

    def check(self, package: EnginePackage, golden: Golden | None) -> None:
        """Whether the camera can be asked, and golden fields are as large as its pictures."""
        frame = self._frame()
        if golden is not None:
            check_sizes(package, golden, frame)

    def build(self, package: EnginePackage, progress: Progress) -> dict[str, bytes]:
        """Plan and record, built in a process of its own."""
        out = self._folder / "building"
        durable.remove_tree(out)  # of a build that was killed
        try:
            build_engine(
                package,
                self._frame(),
                caches=self._folder / "timing-caches",
                out=out,
                log=self._folder / f"build-{package.manifest.name}.log",
                progress=progress,
                workspace_mib=self._workspace_mib,
            )
            return {name: (out / name).read_bytes() for name in (PLAN, RECORD)}
        finally:
            durable.remove_tree(out)

    def build_of(self, engine: Path) -> Build | None:
        """As its record says."""
        record = load_build(engine)
        return Build(record.tensorrt, record.options, record.timing_cache_sha256, record.messages)

    def open(self, package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:
        """The plan that was built of this package."""
        return open_built(package, engine)

    def reference(self, package: EnginePackage) -> Scorer | None:
        """ONNX Runtime on the same package."""
        return OnnxCpuScorer(package)


def open_built(package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:
    """A slot's plan on the GPU. Raises EngineRefused where none was built, BadBuild, CudaError."""
    if engine is None or not is_built(engine):
        raise EngineRefused(
            f"No engine of {package.title} has been built on this device.",
            remedy=f"Build it: cytoscan engine build {package.manifest.name}.",
        )
    record = load_build(engine)
    # Imported here: TensorRT is there only where a GPU is.
    scorer = import_module("engines.tensorrt.scorer").TensorRtScorer
    return cast("OnnxCpuScorer", scorer(package, (engine / PLAN).read_bytes(), record.frame, open_cuda()))


def is_built(engine: Path) -> bool:
    """Whether a slot's folder holds a plan."""
    return (engine / PLAN).is_file()


def frame_of(engine: Path) -> FrameSize:
    """The size of pictures that a built engine reads. Raises BadBuild."""
    return load_build(engine).frame


def what_changed(slot: Slot, package: EnginePackage, gpu: Gpu) -> list[str]:
    """What makes the plan in a slot unusable on this device as it is now: a sentence each. Raises EngineError."""
    made = Fingerprint.model_validate_json(slot.fingerprint.read_bytes())
    try:
        version = import_module("tensorrt").__version__
    except ImportError as error:
        return [f"TensorRT cannot be imported any more ({error})."]
    now = Build(version, made.builder_options, None, ())
    present = fingerprint(package, signing_key_ids=(), gpu=gpu, build=now, acceptance_report=None)
    return differs(made, present)
