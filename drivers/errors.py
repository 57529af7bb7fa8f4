"""What can go wrong with a device, said for the person who meets it."""

from __future__ import annotations


class DeviceError(Exception):
    """A device cannot do what was asked.

    what:   what happened, naming the device and the value concerned.
    safe:   what is safe now (what moved, what did not, what is still true).
    remedy: what the person can do about it.
    """

    def __init__(self, what: str, *, remedy: str, safe: str = "Nothing is moving.") -> None:
        super().__init__(f"{what} {safe} {remedy}")
        self.what = what
        self.safe = safe
        self.remedy = remedy


class LinkLost(DeviceError):
    """The cable, the port or the process behind it went away; positions are UNKNOWN from here on."""


class NoSuchPort(DeviceError):
    """The configured port does not exist."""


class PortBusy(DeviceError):
    """Another program holds the port."""


class WrongController(DeviceError):
    """Something answers on the port, but not the controller that the settings name."""


class LimitError(DeviceError):
    """A target, or a whole plan, lies outside the limits that the controller reports."""


class NotHomed(DeviceError):
    """An axis was asked to move while its position is not known."""


class AxisFault(DeviceError):
    """The controller reports a fault (stall, driver off, limit hit, emergency stop): home again."""


class CameraLost(DeviceError):
    """The camera is absent or stopped answering."""


class FrameTimeout(DeviceError):
    """No frame came within the time that exposure and readout need."""
