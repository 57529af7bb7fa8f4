"""What can go wrong with a release: made, carried on a stick, or read from one."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Any

from engines.errors import EngineError


class Refusal(str, Enum):
    """Why a device refuses a stick."""

    ROLLED_BACK = "rolled back"
    EXPIRED = "expired"
    MIXED = "mixed"
    WRONG_KEYS = "wrong keys"
    TAMPERED = "tampered"
    INCOMPLETE = "incomplete"
    TOO_LARGE = "too large"
    SYMLINK = "symlink"
    NO_RELEASE = "no release"
    CLOCK = "clock"
    NOT_UNDERSTOOD = "not understood"


_EXPORT_AGAIN = "Have the release exported to the stick again, and eject the stick before it is pulled out."
_DO_NOT_USE = "Do not use this stick. Tell the maker where it came from, and have the release exported to a new one."

_REMEDIES = {
    Refusal.ROLLED_BACK: "Use the newest stick, or have the newest release exported to this one.",
    Refusal.EXPIRED: "Have the release exported to the stick again; if the date on this device is wrong, set it.",
    Refusal.MIXED: "Have the release exported to the stick again; never copy single files to or from it.",
    Refusal.WRONG_KEYS: _DO_NOT_USE,
    Refusal.TAMPERED: _DO_NOT_USE,
    Refusal.INCOMPLETE: _EXPORT_AGAIN,
    Refusal.TOO_LARGE: _DO_NOT_USE,
    Refusal.SYMLINK: _DO_NOT_USE,
    Refusal.NO_RELEASE: "Check that the right stick is in and mounted, or have a release exported to it.",
    Refusal.CLOCK: "Set this device's clock; if its date is right, have the release exported to the stick again.",
    Refusal.NOT_UNDERSTOOD: "Update the application on this device first, then use the stick again.",
}


class ReleaseRefused(EngineError):
    """The device does not take what is on the stick, and nothing on the device has changed.

    kind: the cause, which also chooses the remedy.
    """

    def __init__(self, what: str, *, kind: Refusal) -> None:
        super().__init__(what, remedy=_REMEDIES[kind])
        self.kind = kind

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), kind=self.kind), (self.what,)


class ReleaseNotMade(EngineError):
    """A step of making a release is missing, out of order, or was given the wrong key."""


class BadKey(EngineError):
    """A key cannot be read, written or used."""


class BadArchive(EngineError):
    """The archive of a package is damaged, or holds what an archive of a package never holds."""


class TrustDamaged(EngineError):
    """What the device knows genuine releases by cannot be read."""
