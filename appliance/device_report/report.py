"""The whole report: strict JSON, and what stands at the top of its page."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime

from appliance.device_report.section import Section, Table, Value
from appliance.device_report.speed import TARGET, Speed


@dataclass(frozen=True)
class DeviceReport:
    """All sections, in the order in which they were run.

    made_at: UTC. package: title of the engine package. runtime: what read here, None where nothing could. no_gpu: why
    no GPU read, empty where one did. speed: None where it was not measured.
    """

    made_at: datetime
    app_version: str
    package: str
    runtime: str | None
    no_gpu: str
    speed: Speed | None
    sections: tuple[Section, ...]

    @property
    def passed(self) -> bool:
        """Whether this device may go into service."""
        return bool(self.sections) and all(section.passed for section in self.sections)

    def to_json(self) -> bytes:
        """Strict JSON; a figure that is not known, or no number, is null."""
        told = {
            "schema": 1,
            "passed": self.passed,
            "made_at": self.made_at.isoformat(),
            "app_version": self.app_version,
            "package": self.package,
            "runtime": self.runtime,
            "on_gpu": not self.no_gpu,
            "headline": {
                "end_to_end_vs_engine_only": self.speed.ratio if self.speed else None,
                "target": TARGET,
            },
            "sections": {section.part.key: _section(section) for section in self.sections},
        }
        return (json.dumps(told, allow_nan=False, ensure_ascii=False, indent=2) + "\n").encode()


def _section(section: Section) -> dict[str, object]:
    return {
        "passed": section.passed,
        "checks": [asdict(check) for check in section.checks],
        **{fact.key: _number(fact.value) for fact in section.facts},
        **{table.key: _rows(table) for table in section.tables},
    }


def _rows(table: Table) -> list[dict[str, Value]]:
    return [dict(zip(table.columns, map(_number, row), strict=True)) for row in table.rows]


def _number(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value
