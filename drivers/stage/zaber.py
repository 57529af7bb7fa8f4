"""Zaber ASCII: the language of the reference stage. Pure: bytes to meaning and back.

Source: Zaber ASCII protocol manual (message forms, reject reasons, warning flags, unit conversions) and the flag names
of the maker's zaber-motion library; the checksum is the longitudinal redundancy check described in both.
"""

from __future__ import annotations

import re

from drivers.stage.dialect import Address, Alert, Capabilities, Fault, Garbage, Intent, Reply, Request, Verb
from drivers.stage.framer import LineFramer

_WORDS = {
    Verb.PREPARE: "set comm.checksum 1",
    Verb.DEVICE_ID: "get deviceid",
    Verb.SERIAL: "get system.serial",
    Verb.VERSION: "get version",
    Verb.AXIS_COUNT: "get system.axiscount",
    Verb.LIMIT_MIN: "get limit.min",
    Verb.LIMIT_MAX: "get limit.max",
    Verb.SPEED: "get maxspeed",
    Verb.ACCELERATION: "get accel",
    Verb.STATUS: "get pos",
    Verb.FLAGS: "warnings",
    Verb.CLEAR_FLAGS: "warnings clear",
    Verb.HOME: "home",
    Verb.MOVE_TO: "move abs {value}",
    Verb.MOVE_BY: "move rel {value}",
    Verb.STOP: "stop",
}
# Homing twice would end in the same place, but a lost answer says nothing about where the axis is: ask, do not repeat.
_NOT_REPEATABLE = {Verb.MOVE_BY, Verb.HOME}

_REPLY = re.compile(r"@(\d\d) (\d)(?: (\d\d))? (OK|RJ) (BUSY|IDLE) (\S\S)(?: (.*))?")
_ALERT = re.compile(r"!(\d\d) (\d) (BUSY|IDLE) (\S\S)(?: .*)?")
_CHECKED = re.compile(rb"(.)(.*):([0-9A-F]{2})", re.DOTALL)

_NEEDS_HOME = {
    "WH": "is not homed",
    "WR": "has no reference position",
    "WL": "hit a limit switch unexpectedly",
    "WM": "was displaced while standing still",
    "WS": "stalled and recovered",
    "FF": "reports a critical system fault",
    "FN": "has an unsupported peripheral",
    "FZ": "is inactive",
    "FH": "was stopped by the emergency stop",
    "FV": "has a supply voltage fault",
    "FO": "has its driver switched off",
    "FC": "had an inrush current fault",
    "FM": "has an overheated motor",
    "FD": "has its driver disabled",
    "FQ": "has an encoder fault",
    "FI": "has an index error",
    "FA": "lost analog encoder synchronisation",
    "FR": "has an overdrive limit fault",
    "FS": "stalled and was stopped",
    "FB": "ran against the bounds of a stream",
    "FP": "deviated from its path",
    "FE": "ran into a limit",
    "FT": "reports twist in the stage",
}
_DISTURBED = {
    "NC": "is being moved by its hand knob",
    "NI": "had its movement interrupted",
    "ND": "cannot move as the request needs",
}
_REJECTIONS = {
    "AGAIN": "cannot process the request right now",
    "BADAXIS": "has no such axis",
    "BADCOMMAND": "does not know the command",
    "BADDATA": "refuses the value: wrong or out of range",
    "BADMESSAGEID": "refuses the message id",
    "DEVICEONLY": "takes this command only for the whole device",
    "AXISONLY": "takes this command only for one axis",
    "DRIVERDISABLED": "has its driver disabled",
    "FULL": "has no room left",
    "INACTIVE": "is inactive",
    "LOCKSTEP": "is coupled with another axis",
    "NOACCESS": "denies access",
    "NOTSUPPORTED": "does not support this",
    "PARKED": "is parked",
    "REMOTE": "is under remote control",
    "STATUSBUSY": "cannot do this while moving",
}


def lrc(body: bytes) -> int:
    """Longitudinal redundancy check over the bytes after the start byte: the sum of all plus this is 0 modulo 256."""
    return -sum(body) & 0xFF


class ZaberDialect:
    """Zaber ASCII with checksums both ways and message ids."""

    name = "zaber"
    capabilities = Capabilities(checksum=True, tags=100, reports_homed=True, reports_limits=True)

    def framer(self) -> LineFramer:
        """Lines that start with a reply, alert or info byte."""
        return LineFramer(starts=b"@!#")

    def encode(self, intent: Intent, tag: int) -> Request:
        """`/device axis id words:CC` with line feed."""
        words = _WORDS[intent.verb].format(value=intent.value)
        body = f"{intent.address.device} {intent.address.axis} {tag % 100:02d} {words}".encode("ascii")
        return Request(
            data=b"/%b:%02X\n" % (body, lrc(body)),
            idempotent=intent.verb not in _NOT_REPEATABLE,
            unchecked_reply=intent.verb is Verb.PREPARE,
        )

    def decode(self, frame: bytes) -> Reply | Alert | Garbage:
        """Replies and alerts whose checksum, when present, is right; everything else is garbage."""
        checked = _CHECKED.fullmatch(frame)
        if checked:
            start, body, code = checked.groups()
            if lrc(body) != int(code, 16):
                return Garbage(frame, "wrong checksum")
            frame = start + body
        try:
            text = frame.decode("ascii")
        except UnicodeDecodeError:
            return Garbage(frame, "not text")
        reply = _REPLY.fullmatch(text)
        if reply:
            device, axis, tag, status, busy, flag, data = reply.groups()
            return Reply(
                address=Address(int(device), int(axis)),
                tag=None if tag is None else int(tag),
                accepted=status == "OK",
                busy=busy == "BUSY",
                flag="" if flag == "--" else flag,
                data=data or "",
                checked=checked is not None,
            )
        alert = _ALERT.fullmatch(text)
        if alert:
            device, axis, busy, flag = alert.groups()
            return Alert(Address(int(device), int(axis)), busy == "BUSY", "" if flag == "--" else flag)
        return Garbage(frame, "no known form")

    def try_again(self, reply: Reply) -> bool:
        """AGAIN asks for the same request once more."""
        return not reply.accepted and reply.data == "AGAIN"

    def rejection(self, reply: Reply) -> Fault:
        """The reject reason in words."""
        return Fault(reply.data, _REJECTIONS.get(reply.data, f"refused with {reply.data}"), needs_home=False)

    def fault(self, flag: str) -> Fault | None:
        """Faults and lost references end trust; a knob or an interruption spoils the move; other notes pass."""
        if flag in _NEEDS_HOME:
            return Fault(flag, _NEEDS_HOME[flag], needs_home=True)
        if flag in _DISTURBED:
            return Fault(flag, _DISTURBED[flag], needs_home=False)
        if flag.startswith("F"):
            return Fault(flag, f"reports fault {flag}", needs_home=True)
        return None

    def flags(self, reply: Reply) -> tuple[str, ...]:
        """`NN F1 F2 …`: the count, then the flags, most important first."""
        return tuple(reply.data.split()[1:])

    def homed(self, flags: tuple[str, ...]) -> bool:
        """Neither "no reference" nor "not homed" is listed."""
        return not {"WR", "WH"} & set(flags)

    def motion(self, speed: Reply, acceleration: Reply) -> tuple[float, float]:
        """Maker's units: speed is counts/s * 1.6384, acceleration is counts/s² * 1.6384 / 10000."""
        return float(speed.data) / 1.6384, float(acceleration.data) * 10_000 / 1.6384
