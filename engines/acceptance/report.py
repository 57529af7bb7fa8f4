"""What an engine was found to do on the golden fields: plain data, stored beside the engine."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from engines.scorer import BackendInfo


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. limit: the largest `measured` may be, or the least for a share; see `sentence`."""

    name: str
    passed: bool
    measured: float
    limit: float
    sentence: str


@dataclass(frozen=True)
class Report:
    """All checks of one engine.

    golden_sha256: the golden fields it was tried on. reference: the runtime it was compared with on this device, None
    where it was compared with none.
    """

    backend: BackendInfo
    golden_sha256: str
    fields: int
    device_class: str
    reference: str | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether the engine may read slides."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each check that was not passed."""
        return tuple(check.sentence for check in self.checks if not check.passed)

    def to_json(self) -> bytes:
        """Strict JSON; a figure that is no number is null."""
        told = {"schema": 1, "passed": self.passed, **asdict(self)}
        for check in told["checks"]:
            check["measured"] = check["measured"] if math.isfinite(check["measured"]) else None
        return (json.dumps(told, allow_nan=False, ensure_ascii=False, indent=2) + "\n").encode()
