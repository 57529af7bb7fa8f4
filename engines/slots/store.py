"""What is done with the engines in their slots, and what an engine goes through.

    <root>/<name>/a, b      two slots for each engine (`engines.slots.slot`)
    <root>/<name>/current   a link to the one in use (`engines.slots.pair`); without it the shipped package is used

An engine becomes staged, built, accepted, active (in use, on trial: `engines.slots.trial`) and good; or rejected, from
which nothing leads back but to install its release again. An update calls `stage` and goes on from the state of the
slot that it gets, so that one that was interrupted is finished by starting it again. The scanner calls `watch` when it
starts and between slides. By itself it falls back only to an engine that is good; an operator may also go back to one
that was replaced before it was good. What is left in either way is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from engines.package import load_package
from engines.slots.errors import BadSlot, SlideInProgress
from engines.slots.lock import SlotsLock, taking_turns
from engines.slots.pair import Pair, write_step
from engines.slots.record import Decision, Record, State, step
from engines.slots.slot import (
    ACCEPTANCE,
    ENGINE,
    FINGERPRINT,
    Slot,
    add_files,
    empty,
    open_slot,
    release_files,
    remove_unsealed,
    verify,
    write_record,
)
from engines.slots.trial import Trial


class SlotStore:
    """The engines under one folder. For one thread.

    What changes slots is called inside `updating()`, what counts slides inside `reading()`; RuntimeError otherwise.
    Each change raises NotWritten where the disk refuses, and can then be asked for again, as after a crash.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = SlotsLock(root / ".lock")

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Held while slots are changed; waits for who is about to read. Raises UpdateUnderWay, or SlideInProgress."""
        with ExitStack() as held:
            with taking_turns(self._root):
                held.enter_context(self._lock.updating())
            yield

    @contextmanager
    def looked_after(self, trial: Trial, *, who: str, now: datetime) -> Iterator[None]:
        """`reading`, before which what failed its trial has fallen back, unless a slide is being read already.

        Where two begin at the same moment, one waits until the other reads. Raises UpdateUnderWay.
        """
        with ExitStack() as held:
            with taking_turns(self._root):
                if self.names():
                    with suppress(SlideInProgress), self._lock.updating():
                        for name in self.names():
                            self.watch(name, trial, who=who, now=now)
                held.enter_context(self.reading())
            yield

    def reading(self) -> AbstractContextManager[None]:
        """Held from before a slide's engine is opened to the slide's end. Raises UpdateUnderWay."""
        return self._lock.reading()

    def names(self) -> list[str]:
        """Engines that have a folder here, though both its slots may be empty."""
        return sorted(folder.name for folder in self._root.glob("*") if folder.is_dir())

    def slots(self, name: str) -> list[Slot]:
        """The slots that are not empty; their records only, not their files, have been looked at."""
        return self._pair(name).slots()

    def current(self, name: str) -> Slot | None:
        """The slot in use, each of its files verified; None where the shipped package is.

        Raises BadSlot naming what is altered or missing; `watch` then falls back.
        """
        return self._pair(name).current()

    def stage(
        self,
        package: Path,
        *,
        release: str,
        who: str,
        why: str,
        now: datetime,
        golden: Path | None = None,
        key_ids: Sequence[str] = (),
    ) -> Slot:
        """Put an engine package into the slot that is not in use, and return the slot, staged.

        golden: folder of the golden fields that its release brought. key_ids: of the keys that signed the release.
        Both are kept with it, for when it is built again.
        A release that lies in a slot already, and was not rejected, stays there and is returned as far as it has come.
        What was in the other slot is gone: an engine still on trial then has none to fall back to but the shipped one.
        Raises BadPackage; the slots are then untouched.
        """
        self._lock.require(update=True)
        manifest = load_package(package).manifest
        files = release_files(package, golden)
        pair = self._pair(manifest.name)
        pair.settle(who=who, now=now)
        for slot in pair.slots():
            same = (slot.record.release, slot.record.onnx_sha256) == (release, manifest.onnx.sha256)
            if same and slot.state is not State.REJECTED:
                with suppress(BadSlot):
                    remove_unsealed(slot)
                    verify(slot)
                    return slot
        folder = pair.spare()
        empty(folder)
        record = Record(
            schema=1,
            package=manifest.name,
            version=manifest.version,
            onnx_sha256=manifest.onnx.sha256,
            release=release,
            signing_key_ids=tuple(key_ids),
            history=(step(State.STAGED, Decision(who, why, now)),),
            sealed=add_files(folder, files),
        )
        return write_record(folder, record)

    def built(self, slot: Slot, files: Mapping[str, bytes], *, who: str, why: str, now: datetime) -> Slot:
        """Add what was built on this device, by file name; none where the runtime builds nothing. Raises WrongOrder."""
        placed = {f"{ENGINE}/{name}": data for name, data in files.items()}
        return self._added(slot, placed, State.BUILT, Decision(who, why, now))

    def accepted(self, slot: Slot, report: bytes, fingerprint: bytes, *, who: str, why: str, now: datetime) -> Slot:
        """Add the report of an acceptance that was passed, and the fingerprint. Raises WrongOrder."""
        placed = {ACCEPTANCE: report, FINGERPRINT: fingerprint}
        return self._added(slot, placed, State.ACCEPTED, Decision(who, why, now))

    def rejected(self, slot: Slot, *, who: str, why: str, now: datetime) -> Slot | None:
        """Never use this engine (again). Returns the slot in use from now on.

        Where it was in use, the other slot takes its place if that is good, or else the shipped package.
        """
        self._lock.require(update=True)
        pair = self._pair(slot.name)
        slot = open_slot(slot.folder)
        if pair.used() == slot:
            return pair.fall_back(Decision(who, why, now))
        if slot.state is not State.REJECTED:
            write_step(slot, State.REJECTED, Decision(who, why, now))
        return pair.settle(who=who, now=now)

    def activate(self, slot: Slot, *, who: str, why: str, now: datetime) -> Slot:
        """Use this engine from now on: an accepted one, on trial, or a good one. Raises WrongOrder, BadSlot."""
        self._lock.require(update=True)
        return self._pair(slot.name).activate(open_slot(slot.folder), Decision(who, why, now))

    def before(self, name: str) -> Slot:
        """The slot that `roll_back` would use, verified. Raises NothingToGoBackTo saying what there is."""
        return self._pair(name).before()

    def roll_back(self, name: str, *, who: str, why: str, now: datetime) -> Slot:
        """An operator's decision for the engine used before. Raises NothingToGoBackTo; all is then as it was.

        Asked for twice, it is refused the second time: what was left is rejected.
        """
        self._lock.require(update=True)
        return self._pair(name).roll_back(Decision(who, why, now))

    def watch(self, name: str, trial: Trial, *, who: str, now: datetime) -> Slot | None:
        """The slot to read the next slide with, after falling back where its engine is altered or failed its trial.

        For each start of the scanner, and between slides. None: the shipped package.
        """
        self._lock.require(update=True)
        pair = self._pair(name)
        slot = pair.settle(who=who, now=now)
        why = trial.failure(slot.record) if slot is not None and slot.state is State.ACTIVE else ""
        return pair.fall_back(Decision(who, why, now)) if why else slot

    def slide_started(self, name: str) -> None:
        """Count a slide, before its first field."""
        self._count(name, slides_started=1)

    def slide_finished(self, name: str, trial: Trial, *, who: str, now: datetime) -> None:
        """Count a slide that came to its end in good order; with enough of them the engine is good."""
        slot = self._count(name, slides_finished=1)
        if slot is not None and trial.passed(slot.record):
            why = f"{slot.record.slides_finished} slides came to their end with it."
            write_step(slot, State.GOOD, Decision(who, why, now))

    def scanner_restarted(self, name: str) -> None:
        """Count a restart of the scanner after a hang or crash."""
        self._count(name, restarts=1)

    def _pair(self, name: str) -> Pair:
        return Pair(self._root / name)

    def _added(self, slot: Slot, files: Mapping[str, bytes], state: State, decision: Decision) -> Slot:
        self._lock.require(update=True)
        slot = open_slot(slot.folder)
        slot.record.then(state, decision)  # refused before anything is written
        return write_record(slot.folder, slot.record.then(state, decision, add_files(slot.folder, files)))

    def _count(self, name: str, **more: int) -> Slot | None:
        """The slot on trial after counting; None where the engine in use is not on trial."""
        self._lock.require(update=False)
        slot = self._pair(name).used()
        if slot is None or slot.state is not State.ACTIVE:
            return None
        return write_record(slot.folder, slot.record.counted(**more))
