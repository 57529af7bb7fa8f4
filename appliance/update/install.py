"""An engine package → the engine in use: staged, built on this device, tried on its golden fields, activated.

Each step ends in the slot's record, so that an update which was interrupted goes on where it stood when it is started
again. What fails leaves the engine in use as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.update.errors import NotAccepted
from engines.acceptance.belonging import check_belongs
from engines.acceptance.golden import Golden, load_golden
from engines.acceptance.report import Report
from engines.acceptance.run import accept
from engines.building.errors import BuildStopped, NotEnough, TensorRtAbsent
from engines.cuda.errors import CudaError
from engines.errors import EngineError, NotWritten
from engines.fingerprint import fingerprint
from engines.package import EnginePackage, load_package
from engines.runtimes import Runtime
from engines.slots.record import State
from engines.slots.slot import Slot
from engines.slots.store import SlotStore

_MAY_PASS = (NotEnough, NotWritten, CudaError, TensorRtAbsent, BuildStopped)
"""Says nothing against the engine: the same update may be tried again."""
_AGAIN = ", built again "
Draw = Callable[[EnginePackage], Golden]
"""Gives golden fields of a package that brings none."""


@dataclass(frozen=True)
class Candidate:
    """package, golden: folders; golden is None where its release brings no golden fields, and `draw` then gives some.

    release, key_ids: where it is from.
    """

    package: Path
    golden: Path | None
    draw: Draw
    release: str
    key_ids: tuple[str, ...] = ()


def built_again(release: str, now: datetime) -> str:
    """What a slot's record calls a release that is built once more, as its engine no longer fits this device."""
    return f"{origin(release)}{_AGAIN}{now:%Y-%m-%dT%H:%M:%SZ}"


def origin(release: str) -> str:
    """The release that an engine came with, however often it was built again."""
    return release.partition(_AGAIN)[0]


@dataclass(frozen=True)
class Decision:
    """Who wants it, and why; both stand in the slot's record and in the audit trail."""

    who: str
    why: str


class Installer:
    """Installs on this device. now: UTC. clock: steady seconds. tell: each step, in words; progress: of the build."""

    def __init__(
        self,
        store: SlotStore,
        runtime: Runtime,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        tell: Callable[[str], None],
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._now = now
        self._clock = clock
        self._tell = tell
        self._progress = progress

    def check(self, candidate: Candidate) -> Golden | None:
        """What can be said of it without a device: its golden fields, None where it has none. Raises BadGolden."""
        if candidate.golden is None:
            return None
        golden = load_golden(candidate.golden)
        check_belongs(load_package(candidate.package), golden)
        return golden

    def install(self, candidate: Candidate, decision: Decision) -> Slot:
        """The slot in use from now on. Call it inside `store.updating()`.

        Before anything is changed, raises BadGolden for golden fields that cannot be used here, and what keeps the
        camera from being asked for its size. After that NotAccepted, BuildFailed and whatever else makes the engine
        unfit, which is then rejected; NotEnough, NotWritten, CudaError, TensorRtAbsent, BuildStopped, after which the
        same update may be tried again.
        """
        who, why = decision.who, decision.why
        golden = self.check(candidate)
        self._runtime.check(load_package(candidate.package), golden)
        slot = self._store.stage(
            candidate.package,
            release=candidate.release,
            who=who,
            why=why,
            now=self._now(),
            golden=candidate.golden,
            key_ids=candidate.key_ids,
        )
        package = load_package(slot.package)
        if slot.state is State.STAGED:
            slot = self._built(slot, package, decision)
        if slot.state is State.BUILT:
            slot = self._accepted(slot, package, lambda: golden or candidate.draw(package), decision)
        # Also one that is good already: it may lie in the slot that is not in use.
        slot = self._store.activate(slot, who=who, why=why, now=self._now())
        self._tell(f"{slot.record.title} is in use, {'on trial' if slot.state is State.ACTIVE else slot.state.value}.")
        return slot

    def _built(self, slot: Slot, package: EnginePackage, decision: Decision) -> Slot:
        if self._runtime.gpu is not None:
            self._tell(f"Building {package.title} for {self._runtime.device_class}.")
        with self._rejecting(slot, decision):
            files = self._runtime.build(package, self._progress)
        return self._store.built(slot, files, who=decision.who, why=decision.why, now=self._now())

    def _accepted(self, slot: Slot, package: EnginePackage, golden: Callable[[], Golden], decision: Decision) -> Slot:
        self._tell(f"Trying {package.title} on its golden fields.")
        with self._rejecting(slot, decision):
            report = self._tried(slot, package, golden())
            for check in report.checks:
                self._tell(f"  {'passed' if check.passed else 'FAILED'}: {check.sentence}")
            if not report.passed:
                raise NotAccepted(
                    f"{package.title} was not accepted: {' '.join(report.failures)}",
                    remedy="The engine in use stays. Send acceptance figures and package name to the maker.",
                )
        told = report.to_json()
        made_of = fingerprint(
            package,
            signing_key_ids=slot.record.signing_key_ids,
            gpu=self._runtime.gpu,
            build=self._runtime.build_of(slot.engine),
            acceptance_report=told,
        )
        who, why = decision.who, decision.why
        return self._store.accepted(slot, told, made_of.to_json(), who=who, why=why, now=self._now())

    def _tried(self, slot: Slot, package: EnginePackage, golden: Golden) -> Report:
        with ExitStack() as opened:
            scorer = opened.enter_context(closing(self._runtime.open(package, slot.engine)))
            reference = self._runtime.reference(package)
            if reference is not None:
                opened.enter_context(closing(reference))
            device_class = self._runtime.device_class
            return accept(scorer, package, golden, clock=self._clock, reference=reference, device_class=device_class)

    @contextmanager
    def _rejecting(self, slot: Slot, decision: Decision) -> Iterator[None]:
        try:
            yield
        except _MAY_PASS:
            raise
        except EngineError as error:
            self._store.rejected(slot, who=decision.who, why=error.what, now=self._now())
            raise
