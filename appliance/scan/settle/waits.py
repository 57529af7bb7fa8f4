"""The waits of X and Y that a device has learned: on disk, and in the settings of its stage."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from appliance.errors import SettingsError
from appliance.scan.settle.decay import LONGEST_MS, SHORTEST_MS, Settling
from appliance.scan.settle.measure import REST_S
from drivers.stage import Move, Mover, MoveTimes, StageSettings

_FORMAT = 1
_SAME_SCALE = 0.02
_REMEDY = "Measure again with `cytoscan calibrate settle`."


@dataclass(frozen=True)
class LearnedWaits:
    """How X and Y of a device come to rest, seen at this scale."""

    um_per_px: float
    x: Settling
    y: Settling
    format: int = _FORMAT


_MODEL = TypeAdapter(LearnedWaits)


def save_waits(path: Path, waits: LearnedWaits) -> None:
    """Write them so that a reader sees the old ones or the new ones, never a part; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(asdict(waits), stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def load_waits(path: Path, um_per_px: float) -> LearnedWaits | None:
    """The waits in a file, or None where there is no file.

    Raises SettingsError when it cannot be read, is of another version, was measured at another scale, or holds a wait
    that no measurement gives.
    """
    if not path.exists():
        return None
    try:
        waits = _MODEL.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise SettingsError(f"The learned waits {path} cannot be read: {error}.", remedy=_REMEDY) from error
    if waits.format != _FORMAT:
        raise SettingsError(f"The learned waits {path} are not of this version.", remedy=_REMEDY)
    if abs(waits.um_per_px - um_per_px) > _SAME_SCALE * um_per_px:
        raise SettingsError(
            f"The learned waits {path} were measured at {waits.um_per_px:g} µm/px; in force are {um_per_px:g}.",
            remedy=_REMEDY,
        )
    for name, axis in (("x", waits.x), ("y", waits.y)):
        if not SHORTEST_MS <= axis.wait_ms <= LONGEST_MS:
            raise SettingsError(
                f"The learned waits {path} say {axis.wait_ms:g} ms for {name}, not {SHORTEST_MS:g} to {LONGEST_MS:g}.",
                remedy=_REMEDY,
            )
    return waits


def with_waits(stage: StageSettings, waits: LearnedWaits) -> StageSettings:
    """The same stage with these waits of X and Y; that of Z stays as set."""
    return _with(stage, waits.x.wait_ms, waits.y.wait_ms)


def without_wait(stage: StageSettings) -> StageSettings:
    """The same stage, ready for exposures as soon as X and Y have arrived."""
    return _with(stage, 0.0, 0.0)


def _with(stage: StageSettings, x_ms: float, y_ms: float) -> StageSettings:
    x, y = stage.x.model_copy(update={"settle_ms": x_ms}), stage.y.model_copy(update={"settle_ms": y_ms})
    return stage.model_copy(update={"x": x, "y": y})


@dataclass(frozen=True)
class Unhurried:
    """A `Mover` that waits long after each way of X and Y, over a stage that does not wait at all."""

    stage: Mover
    pause: Callable[[float], None]

    def move(self, x_um: float | None = None, y_um: float | None = None, z_um: float | None = None) -> Move:
        """Start a move to absolute targets and return at once."""
        return self.stage.move(x_um=x_um, y_um=y_um, z_um=z_um)

    def wait(self, move: Move) -> MoveTimes:
        """Wait until a move has arrived, and then until nothing can ring any more."""
        times = self.stage.wait(move)
        if any(axis != "z" for leg in move.legs for axis in leg):
            self.pause(REST_S)
        return times

    def retract(self) -> bool:
        """Stop everything and take Z away from the slide; whether Z is now proven to be away."""
        return self.stage.retract()
