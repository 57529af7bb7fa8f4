"""pymmcore-plus, imported from its package, running the plan over our devices.

The plan is a `useq.MDASequence` of positions, run by its own runner; each position waits until the bench asks for it.
It ships no software autofocus: where a hardware one would be called, an engine made from its own takes 11 planes and
the top of a parabola, which is how the codebases reference (section 6) ran it. Without that, the first height is kept.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable

import useq
from pymmcore_plus import configure_logging
from pymmcore_plus.experimental.unicore import UniMMCore
from pymmcore_plus.mda import MDAEngine

from appliance.cli.focus_methods.method import STEP_DOF, Kept, Setup
from appliance.cli.focus_methods.mmcore_devices import XY, Held, Pictures, Z
from appliance.cli.focus_methods.sharpness import green, parabola_top, tenengrad
from appliance.scan.plan import PlannedField

_BESIDE = 5
_LOOK_S = 1.0

# It looks for a Micro-Manager installation, which Python devices do without, and says at length that there is none.
configure_logging(file=None, log_to_stderr=False)


class RunnerEnded(RuntimeError):
    """The acquisition ended before all positions of the plan had been visited."""


class _Engine(MDAEngine):  # type: ignore[misc]
    """Its engine with a stack for an autofocus, one position at a time."""

    def __init__(self, core: UniMMCore, held: Held, step_um: float) -> None:
        super().__init__(core, use_hardware_sequencing=False)
        self.asked = threading.Semaphore(0)
        self.kept: queue.Queue[int] = queue.Queue()
        self._held = held
        self._step_um = step_um
        self._position: int | None = None

    def setup_event(self, event: useq.MDAEvent) -> None:
        position = event.index.get("p")
        if position != self._position:
            self.asked.acquire()
            self._position = position
        super().setup_event(event)

    def exec_event(self, event: useq.MDAEvent) -> Iterable[object]:
        if isinstance(event.action, useq.HardwareAutofocus):
            self._focus()
            return
        yield from super().exec_event(event)
        self.kept.put(self._held.frame_id)

    def _focus(self) -> None:
        core = self.mmcore
        middle_um = core.getZPosition()
        heights = [middle_um + plane * self._step_um for plane in range(-_BESIDE, _BESIDE + 1)]
        values = []
        for z_um in heights:
            core.setZPosition(z_um)
            core.waitForSystem()
            core.snapImage()
            values.append(tenengrad(green(core.getImage())))
        core.setZPosition(parabola_top(heights, values))
        core.waitForSystem()


class MicroManager:
    """One acquisition in a thread of its own. focuses: whether there is an autofocus event at every position."""

    def __init__(self, setup: Setup, *, focuses: bool) -> None:
        held = Held(setup)
        self._core = UniMMCore()
        for label, device in (("XY", XY(held)), ("Z", Z(held)), ("Camera", Pictures(held))):
            self._core.loadPyDevice(label, device)
            self._core.initializeDevice(label)
        self._core.setXYStageDevice("XY")
        self._core.setFocusDevice("Z")
        self._core.setCameraDevice("Camera")
        self._core.setAutoShutter(False)
        self._core.setZPosition(setup.start_um)
        self._engine = _Engine(self._core, held, STEP_DOF * setup.optics.dof_um)
        self._core.mda.set_engine(self._engine)
        sequence = useq.MDASequence(
            stage_positions=[useq.Position(x=field.x_um, y=field.y_um) for field in setup.fields],
            autofocus_plan=useq.AxesBasedAF(axes=("p",)) if focuses else None,
        )
        self._run = threading.Thread(target=self._core.mda.run, args=(sequence,), name="mda", daemon=True)
        self._run.start()

    def visit(self, field: PlannedField) -> Kept:  # noqa: ARG002 - the runner knows the next position itself
        """Always calls it in focus. Raises RunnerEnded."""
        self._engine.asked.release()
        while True:
            try:
                return Kept(self._engine.kept.get(timeout=_LOOK_S), in_focus=True)
            except queue.Empty:
                if not self._run.is_alive() and self._engine.kept.empty():
                    raise RunnerEnded("pymmcore-plus stopped before the end of its plan.") from None


def focusing(setup: Setup) -> MicroManager:
    """With 11 planes and a parabola at every position."""
    return MicroManager(setup, focuses=True)


def unfocused(setup: Setup) -> MicroManager:
    """At the first height throughout."""
    return MicroManager(setup, focuses=False)
