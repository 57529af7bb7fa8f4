"""Where messages are published: topics of the form lab/<site>/<device>/<leaf>.

Topics appear in broker logs: no accession, no name of a person, ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from appliance.errors import SettingsError

ROOT = "lab"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")
HUB_FILTERS = (f"{ROOT}/+/+/evt/#", f"{ROOT}/+/+/state", f"{ROOT}/+/+/health")


class Leaf(str, Enum):
    """What comes after site and device."""

    STATE = "state"
    HEALTH = "health"
    RECEIPT = "rcpt"
    VERDICT = "evt/verdict"
    QUALITY = "evt/qc"
    ALARM = "evt/alarm"


@dataclass(frozen=True)
class Topics:
    """The topics of one device.

    site, device: letters, digits, `-` and `_`, at most 63; so neither a level separator nor a wildcard can slip in.
    Raises SettingsError otherwise.
    """

    site: str
    device: str

    def __post_init__(self) -> None:
        for key, name in (("site", self.site), ("device", self.device)):
            if not _NAME.match(name):
                raise SettingsError(
                    f"The {key} name {name!r} cannot stand in an MQTT topic.",
                    remedy="Use letters, digits, '-' and '_', at most 63, starting with a letter or digit.",
                )

    def of(self, leaf: Leaf) -> str:
        """The full topic."""
        return f"{ROOT}/{self.site}/{self.device}/{leaf.value}"


@dataclass(frozen=True)
class Address:
    """A topic taken apart. leaf: None when it is none that this version knows."""

    site: str
    device: str
    leaf: Leaf | None


def parse(topic: str) -> Address | None:
    """Take a topic apart; None when it is not of the form lab/<site>/<device>/<leaf>."""
    levels = topic.split("/", 3)
    if len(levels) != 4 or levels[0] != ROOT or not all(_NAME.match(name) for name in levels[1:3]):
        return None
    known = {leaf.value: leaf for leaf in Leaf}
    return Address(site=levels[1], device=levels[2], leaf=known.get(levels[3]))
