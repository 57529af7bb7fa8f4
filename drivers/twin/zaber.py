"""The twin's stage controller: a chain of Zaber ASCII devices. Lines in, lines out; no I/O here.

Source: Zaber ASCII protocol manual; what the maker's own zaber-motion library sends and checks decided the details.
Not established by either, and chosen here: a command with a wrong checksum is ignored; an absolute move before homing
is refused with BADDATA.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable

from pydantic import BaseModel, ConfigDict, Field

from drivers.twin.mechanics import Axis, Mechanics
from drivers.twin.zaber_axis import AxisEvent, Refused, ZaberAxis

__all__ = ["AxisEvent", "DeviceSettings", "ZaberChain", "ZaberSettings"]

_COMMAND = re.compile(r"(?:(\d{1,2})(?:\s+(\d)(?=\s|$))?(?:\s+(\d{1,2})(?=\s|$))?)?\s*(.*)", re.DOTALL)
_FIXED = {
    "version": "7.38",
    "version.build": "13449",
    "comm.packet.size.max": "80",
    "comm.word.size.max": "50",
    "comm.command.packets.max": "1",
    "get.settings.max": "10",
    "device.hw.modified": "0",
    "system.access": "1",
    "system.uptime": "1.0",
}
_FIXED_PER_AXIS = {
    "resolution": "64",
    "peripheral.serial": "0",
    "peripheral.hw.modified": "0",
    "driver.enabled": "1",
    "parking.state": "0",
}
_SETTABLE_PER_AXIS = {"limit.min": "limit_min", "limit.max": "limit_max", "maxspeed": "maxspeed", "accel": "accel"}


class DeviceSettings(BaseModel):
    """One device of the chain: its axes in order, and how it identifies itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    axes: tuple[Axis, ...] = Field(min_length=1, max_length=9)
    device_id: int = Field(ge=1)
    serial: int = Field(ge=1)


class ZaberSettings(BaseModel):
    """The chain, first device first. Default: a two-axis controller for X and Y, and a focus device."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    devices: tuple[DeviceSettings, ...] = (
        DeviceSettings(axes=("x", "y"), device_id=30222, serial=52001),
        DeviceSettings(axes=("z",), device_id=50081, serial=52002),
    )


def lrc(body: bytes) -> int:
    """Two's complement of the byte sum."""
    return (256 - sum(body) % 256) % 256


class _Device:
    """One address on the chain."""

    def __init__(self, number: int, settings: DeviceSettings, axes: list[ZaberAxis]) -> None:
        self.number = number
        self.settings = settings
        self.axes = axes
        self.alert = 0
        self.checksum = 0

    def line(self, start: str, rest: str) -> bytes:
        """A complete outgoing line."""
        body = f"{self.number:02d} {rest}".encode("ascii")
        code = f":{lrc(body):02X}".encode("ascii") if self.checksum else b""
        return start.encode("ascii") + body + code + b"\r\n"

    def state(self, axes: list[ZaberAxis]) -> str:
        """`BUSY WR`: motion and most important flag of these axes."""
        flags = self.flags(axes)
        return f"{'BUSY' if any(axis.busy() for axis in axes) else 'IDLE'} {flags[0] if flags else '--'}"

    def flags(self, axes: list[ZaberAxis]) -> list[str]:
        """Flags of these axes, most important first; F before W before N as the maker orders them."""
        found = {flag: None for axis in axes for flag in axis.flags()}
        return sorted(found, key=lambda flag: "FWN".index(flag[0]))

    def get(self, name: str, axis_number: int, axes: list[ZaberAxis]) -> str:
        """The value of a setting; one per axis, separated by spaces, when the setting belongs to axes."""
        whole = {
            "deviceid": self.settings.device_id,
            "system.serial": self.settings.serial,
            "system.axiscount": len(self.axes),
            "comm.alert": self.alert,
            "comm.checksum": self.checksum,
            "comm.address": self.number,
            **_FIXED,
        }
        if name in whole:
            if axis_number:
                raise Refused("DEVICEONLY")
            return str(whole[name])
        return " ".join(self._get_axis(name, axis) for axis in axes)

    def _get_axis(self, name: str, axis: ZaberAxis) -> str:
        if name == "pos":
            return str(axis.position)
        if name == "limit.home.triggered":
            return str(int(axis.homed))
        if name == "peripheralid":
            return str(70_000 + ord(axis.name))
        if name in _SETTABLE_PER_AXIS:
            return str(getattr(axis, _SETTABLE_PER_AXIS[name]))
        if name in _FIXED_PER_AXIS:
            return _FIXED_PER_AXIS[name]
        raise Refused("BADCOMMAND")

    def set(self, name: str, value: int, axis_number: int, axes: list[ZaberAxis]) -> None:
        """Change a setting."""
        if name in ("comm.alert", "comm.checksum"):
            if axis_number:
                raise Refused("DEVICEONLY")
            if value not in (0, 1):
                raise Refused("BADDATA")
            if name == "comm.alert":
                self.alert = value
            else:
                self.checksum = value
        elif name in _SETTABLE_PER_AXIS:
            if name in ("maxspeed", "accel") and value < 1:
                raise Refused("BADDATA")
            for axis in axes:
                setattr(axis, _SETTABLE_PER_AXIS[name], value)
        else:
            raise Refused("BADCOMMAND")


class ZaberChain:
    """All devices on one line. Thread-safe."""

    def __init__(self, settings: ZaberSettings, mechanics: Mechanics, clock: Callable[[], float]) -> None:
        self.axes: dict[Axis, ZaberAxis] = {}
        self._clock = clock
        self._now_s = clock()
        self._lock = threading.Lock()
        self._devices = []
        for number, device in enumerate(settings.devices, start=1):
            axes = [ZaberAxis(name, mechanics, lambda: self._now_s) for name in device.axes]
            self.axes.update({axis.name: axis for axis in axes})
            self._devices.append(_Device(number, device, axes))

    def hear(self, line: bytes) -> list[bytes]:
        """Replies to one line, which comes without its line end; none when the line is not for us or is damaged."""
        with self._lock:
            return self._hear(line)

    def suffer(self, axis: Axis, event: AxisEvent, distance_um: float = 0.0) -> None:
        """Let something happen to an axis; may be called from any thread."""
        with self._lock:
            self._update()
            self.axes[axis].suffer(event, distance_um)

    def _hear(self, line: bytes) -> list[bytes]:
        self._update()
        start = line.rfind(b"/")
        if start < 0:
            return []
        body, mark, code = line[start + 1 :].partition(b":")
        if mark and not _same_code(code, lrc(body)):
            return []
        match = _COMMAND.fullmatch(body.decode("ascii", errors="replace"))
        if match is None:
            return []
        device, axis, tag, words = match.groups()
        address, axis_number = int(device or 0), int(axis or 0)
        called = [each for each in self._devices if address in (0, each.number)]
        return [self._answer(each, axis_number, tag, words.split()) for each in called]

    def tick(self) -> list[bytes]:
        """Alerts that have become due."""
        with self._lock:
            return self._update()

    def next_event_s(self) -> float:
        """When `tick` should be called next; infinity when nothing moves."""
        with self._lock:
            return min(axis.next_event_s() for axis in self.axes.values())

    def _update(self) -> list[bytes]:
        """Move on to the present: all that one reply says holds for one instant."""
        self._now_s = self._clock()
        alerts = []
        for device in self._devices:
            for number, axis in enumerate(device.axes, start=1):
                if axis.update() and device.alert:
                    alerts.append(device.line("!", f"{number} {device.state([axis])}"))
        return alerts

    def _answer(self, device: _Device, axis_number: int, tag: str | None, words: list[str]) -> bytes:
        axes = device.axes
        status, data = "OK", "0"
        if axis_number > len(axes):
            status, data = "RJ", "BADAXIS"
        else:
            axes = axes[axis_number - 1 : axis_number] if axis_number else axes
            try:
                data = _obey(device, axis_number, axes, words)
            except Refused as reason:
                status, data = "RJ", str(reason)
        echo = "" if tag is None else f" {int(tag):02d}"
        return device.line("@", f"{axis_number}{echo} {status} {device.state(axes)} {data}")


def _same_code(text: bytes, code: int) -> bool:
    return re.fullmatch(rb"[0-9A-Fa-f]{2}", text.strip()) is not None and int(text, 16) == code


def _number(words: list[str]) -> int:
    if len(words) != 1 or not re.fullmatch(r"-?\d+(\.0*)?", words[0]):
        raise Refused("BADDATA")
    return int(float(words[0]))


def _obey(device: _Device, axis_number: int, axes: list[ZaberAxis], words: list[str]) -> str:
    """Carry out a command; the data of its reply."""
    verb, rest = (words[0], words[1:]) if words else ("", [])
    if verb == "":
        return "0"
    if verb == "get" and len(rest) == 1:
        return device.get(rest[0], axis_number, axes)
    if verb == "set" and len(rest) == 2:
        device.set(rest[0], _number(rest[1:]), axis_number, axes)
        return "0"
    if verb == "move" and rest:
        _move(axes, rest[0], rest[1:])
        return "0"
    if verb == "warnings" and rest in ([], ["clear"]):
        flags = device.flags(axes)
        if rest:
            _each(axes, ZaberAxis.clear_flags)
        return " ".join([f"{len(flags):02d}", *flags])
    plain = {"home": ZaberAxis.home, "stop": ZaberAxis.stop, "estop": ZaberAxis.emergency_stop}
    if verb in plain and not rest:
        _each(axes, plain[verb])
        return "0"
    raise Refused("BADCOMMAND")


def _move(axes: list[ZaberAxis], kind: str, rest: list[str]) -> None:
    for axis in axes:
        if kind in ("min", "max") and not rest:
            axis.move_to(axis.limit_min if kind == "min" else axis.limit_max)
        elif kind == "abs":
            axis.move_to(_number(rest))
        elif kind == "rel":
            axis.move_by(_number(rest))
        else:
            raise Refused("BADCOMMAND")


def _each(axes: Iterable[ZaberAxis], action: Callable[[ZaberAxis], None]) -> None:
    for axis in axes:
        action(axis)
