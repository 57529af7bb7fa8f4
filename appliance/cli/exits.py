"""Exit codes of `cytoscan`, and which error leads to which."""

from __future__ import annotations

from enum import IntEnum

from appliance.errors import ApplianceError, JournalError, PlanError, SettingsError
from appliance.update.errors import NotAccepted
from drivers.errors import CameraLost, DeviceError, FrameTimeout, LimitError
from engines.errors import EngineError
from engines.releases.errors import ReleaseRefused
from engines.slots.errors import SlideInProgress, UpdateUnderWay


class Exit(IntEnum):
    """0 is a verdict, whatever it says; each other number is one kind of cause."""

    VERDICT = 0
    FAULT = 1
    USAGE = 2
    SETTINGS = 3
    STAGE = 4
    CAMERA = 5
    ENGINE = 6
    JOURNAL = 7
    PLAN = 8
    CHECKS_FAILED = 9
    RELEASE_REFUSED = 10
    NOT_ACCEPTED = 11
    BUSY = 12
    INTERRUPTED = 130


def exit_for(error: Exception) -> Exit:
    """The exit code for an error that ended the command."""
    kinds: list[tuple[type[Exception], Exit]] = [
        (SettingsError, Exit.SETTINGS),
        (PlanError, Exit.PLAN),
        (LimitError, Exit.PLAN),
        (JournalError, Exit.JOURNAL),
        (ApplianceError, Exit.FAULT),
        (CameraLost, Exit.CAMERA),
        (FrameTimeout, Exit.CAMERA),
        (DeviceError, Exit.STAGE),
        (ReleaseRefused, Exit.RELEASE_REFUSED),
        (NotAccepted, Exit.NOT_ACCEPTED),
        (SlideInProgress, Exit.BUSY),
        (UpdateUnderWay, Exit.BUSY),
        (EngineError, Exit.ENGINE),
    ]
    return next((code for kind, code in kinds if isinstance(error, kind)), Exit.FAULT)
