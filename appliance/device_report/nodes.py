"""Device nodes that the scanner's unit allows: whether they are there, and whether this user may open them."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from appliance.device_report.section import Check, Table

_ALLOW = re.compile(r"^DeviceAllow=(\S+)", re.MULTILINE)
_MAJOR = re.compile(r"^\s*(\d+) (\S+)$", re.MULTILINE)
_FOR_DEBUGGING = re.compile(r"(dbg|prof|power)(-gpu)?$")
"""L4T leaves these to root and its group debug; what reads slides needs none of them."""


@dataclass(frozen=True)
class Node:
    """What one line of the unit allows. there: how many such nodes there are; open: how many this user may use."""

    allowed: str
    there: int
    open: int

    @property
    def shut(self) -> bool:
        """Whether there are nodes, of which this user may use none."""
        return bool(self.there) and not self.open and _FOR_DEBUGGING.search(self.allowed) is None


def allowed_nodes(unit: str) -> list[str]:
    """Paths, and groups as "char-NAME", of the text of a unit."""
    return _ALLOW.findall(unit)


def look_at(allowed: list[str], root: Path) -> list[Node]:
    """How each stands on the system below `root`. Nothing is opened: that could reset a stage controller."""
    return [_node(one, _group(one, root) if one.startswith("char-") else [root / one.lstrip("/")]) for one in allowed]


def nodes_check(nodes: list[Node]) -> Check:
    """Whether all that are there may be used."""
    shut = [node.allowed for node in nodes if node.shut]
    if shut:
        return Check(False, f"This user may not use {', '.join(shut)}: run as the scanner's user, or mend its groups.")
    there = sum(bool(node.there) for node in nodes)
    sentence = f"{there} of {len(nodes)} device nodes or groups that the scanner may use are there, open to this user."
    return Check(bool(there), sentence)


def nodes_table(nodes: list[Node]) -> Table:
    """Each of them; which are there depends on JetPack and on what is plugged in."""
    columns = {"allowed": "Device node or group", "there": "There", "open": "Open to this user"}
    rows = tuple((node.allowed, node.there, node.open) for node in nodes)
    return Table("device_nodes", "Device nodes that the scanner's unit allows", columns, rows, folded=True)


def _node(allowed: str, paths: list[Path]) -> Node:
    there = [path for path in paths if path.exists()]
    return Node(allowed, len(there), sum(os.access(path, os.R_OK | os.W_OK) for path in there))


def _group(allowed: str, root: Path) -> list[Path]:
    """Nodes whose driver has this name in /proc/devices."""
    try:
        drivers = (root / "proc/devices").read_text(encoding="ascii").partition("Block devices")[0]
    except OSError:
        return []
    name = allowed.removeprefix("char-")
    majors = {int(major) for major, driver in _MAJOR.findall(drivers) if fnmatch(driver, name)}
    return [path for path in (root / "dev").rglob("*") if majors and _major(path) in majors]


def _major(path: Path) -> int | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return os.major(status.st_rdev) if stat.S_ISCHR(status.st_mode) else None
