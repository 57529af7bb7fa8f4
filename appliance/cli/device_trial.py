"""The parts of a device's acceptance, one after another, each a section of its report whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import appliance
from appliance.cli.device_pipeline import Pipeline
from appliance.cli.golden_fields import drawn_golden
from appliance.device_report.attempt import Attempts, Pulse
from appliance.device_report.device import device_section
from appliance.device_report.engine import build_section, golden_section
from appliance.device_report.heat import HeatWatch, heat_section
from appliance.device_report.heat_files import read_heat
from appliance.device_report.section import DEVICE, GOLDEN, GPU, SPEED, THERMAL, Section, not_passed
from appliance.device_report.speed import Speed, speed_of, speed_section
from appliance.journal import Journal
from appliance.settings import Settings
from engines.acceptance.golden import Golden
from engines.acceptance.run import accept
from engines.building.record import load_build
from engines.building.resources import available
from engines.cuda.probe import Gpu, GpuAbsent
from engines.fingerprint import fingerprint
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.runtimes import Runtime
from engines.slots.slot import add_files
from engines.tensorrt.signature import FrameSize

PARTS = (DEVICE, GPU, GOLDEN, SPEED, THERMAL)
_ROUNDS = 10
_SILENCE_S = 300.0
_BUILD_SILENCE_S = 1800.0
"""TensorRT may say nothing for many minutes while it times one layer."""
_UNITS = Path(appliance.__file__).parent.parent / "systemd"
"""In a checkout; elsewhere the unit is installed."""


@dataclass(frozen=True)
class Wish:
    """What is to be measured: an engine package, for frames of this size; over so many fields, for so many minutes."""

    package: EnginePackage
    frame: FrameSize
    fields: int
    minutes: float


class Trial:
    """One acceptance under way. scorer, speed: None until they are there.

    runtime: builds below `scratch` and reads. progress: of the build.
    """

    def __init__(
        self,
        wish: Wish,
        settings: Settings,
        runtime: Runtime,
        scratch: Path,
        progress: Callable[[str, int, int], None],
    ) -> None:
        self.wish = wish
        self.scorer: OnnxCpuScorer | None = None
        self.speed: Speed | None = None
        self._settings = settings
        self._runtime = runtime
        self._scratch = scratch
        self._progress = progress
        self._attempts = Attempts(_SILENCE_S)

    def sections(self, gpu: Gpu | GpuAbsent) -> Iterator[Section]:
        """One for each of `PARTS`, whatever happens."""
        yield self._attempts.make(DEVICE, lambda _: (self._device(), None))[0]
        section, self.scorer = self._attempts.make(GPU, lambda pulse: self._open(gpu, pulse), _BUILD_SILENCE_S)
        yield section
        if self.scorer is None:
            for part in (GOLDEN, SPEED, THERMAL):
                yield not_passed(part, "Not run: no engine could be opened.")
            return
        try:
            yield from self._read(self.scorer)
        finally:
            if not self._attempts.hung:
                self.scorer.close()

    def _read(self, scorer: OnnxCpuScorer) -> Iterator[Section]:
        section, golden = self._attempts.make(GOLDEN, lambda _: self._accept(scorer))
        yield section
        if golden is None:
            for part in (SPEED, THERMAL):
                yield not_passed(part, "Not run: the engine did not read the golden fields.")
            return
        section, self.speed = self._attempts.make(SPEED, lambda pulse: self._speed(scorer, golden, pulse))
        yield section
        if self.wish.minutes <= 0:
            yield not_passed(THERMAL, "Not run: --minutes 0 was given.")
            return
        yield self._attempts.make(THERMAL, lambda pulse: (self._heat(scorer, golden, pulse), None))[0]

    def _device(self) -> Section:
        package, gpu = self.wish.package, self._runtime.gpu
        told = fingerprint(package, signing_key_ids=(), gpu=gpu, build=None, acceptance_report=None)
        return device_section(told, available(self._scratch), appliance.__version__, units=_UNITS)

    def _open(self, gpu: Gpu | GpuAbsent, pulse: Pulse) -> tuple[Section, OnnxCpuScorer]:
        package, engine = self.wish.package, self._scratch / "engine"
        if isinstance(gpu, GpuAbsent):
            why = f"{gpu.what} Nothing is built, and the processor reads. {gpu.remedy}"
            return not_passed(GPU, why), self._runtime.open(package, None)

        def progress(phase: str, step: int, steps: int) -> None:
            pulse.beat()
            self._progress(phase, step, steps)

        add_files(engine, self._runtime.build(package, progress))
        record = load_build(engine)
        return build_section(record), self._runtime.open(package, engine)

    def _accept(self, scorer: OnnxCpuScorer) -> tuple[Section, Golden]:
        package, runtime = self.wish.package, self._runtime
        golden = drawn_golden(package, self.wish.frame, self._scratch / "golden")
        with ExitStack() as opened:
            reference = runtime.reference(package)
            if reference is not None:
                opened.enter_context(closing(reference))
            device_class, clock = runtime.device_class, time.monotonic
            found = accept(scorer, package, golden, clock=clock, reference=reference, device_class=device_class)
        return golden_section(found), golden

    def _speed(self, scorer: OnnxCpuScorer, golden: Golden, pulse: Pulse) -> tuple[Section, Speed]:
        engine_only, end_to_end, alone = [], [], []
        each = -(-self.wish.fields // _ROUNDS)
        with Journal.open(self._scratch / "speed.sqlite") as journal:
            pipeline = self._pipeline(scorer, golden, journal, pulse)
            for _ in range(_ROUNDS):
                engine_only += pipeline.engine_only(each)
                end_to_end += pipeline.end_to_end(each)
                alone += pipeline.alone(each)
        speed = speed_of(engine_only, end_to_end, alone)
        return speed_section(speed), speed

    def _heat(self, scorer: OnnxCpuScorer, golden: Golden, pulse: Pulse) -> Section:
        watch = HeatWatch(time.monotonic, read_heat)
        end_s = time.monotonic() + 60 * self.wish.minutes

        def going_on() -> bool:
            watch.look()
            return time.monotonic() < end_s

        with Journal.open(self._scratch / "heat.sqlite") as journal:
            self._pipeline(scorer, golden, journal, pulse).run(going_on, watch.field_done)
        return heat_section(watch.done_s, watch.states)

    def _pipeline(self, scorer: OnnxCpuScorer, golden: Golden, journal: Journal, pulse: Pulse) -> Pipeline:
        return Pipeline(self.wish.package, scorer, golden, self._settings, journal, pulse.beat)
