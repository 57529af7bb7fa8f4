"""Figures from measured times: how near reading whole fields comes to the network alone. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.device_report.section import SPEED, Check, Fact, Section, Table

TARGET = 0.90
"""Of the network's own speed. Published pipelines reach 0.24 to 0.37 (edge reference 8.1)."""
_STEADY = 1.25
"""How far nine tenths of the network's times may lie over their median on a device that does nothing else."""


@dataclass(frozen=True)
class StageTimes:
    """Seconds of one field with nothing else under way.

    prepare: raw frame to colour and quality. network: picture to probabilities. decode: probabilities to detections.
    record: pictures of findings, and the journal. Decoding and recording share a thread.
    """

    prepare: float
    network: float
    decode: float
    record: float


@dataclass(frozen=True)
class Spread:
    """Of seconds a field."""

    median_s: float
    p90_s: float


@dataclass(frozen=True)
class Speed:
    """All measured in turns in one run.

    engine_only: of the network when it never waits. Like end_to_end over turns of several fields. ideal_s: of the
    slowest of the three threads (that prepares, that has the network, that decodes and records), if none of them ever
    waited for another.
    """

    fields: int
    engine_only: Spread
    end_to_end: Spread
    stages: dict[str, Spread]
    ideal_s: float

    @property
    def ratio(self) -> float:
        """Of end-to-end throughput to the network's alone; 1 would be perfect."""
        return self.engine_only.median_s / self.end_to_end.median_s

    @property
    def steady(self) -> bool:
        """Whether the device did nothing else: otherwise no ratio says anything."""
        return self.engine_only.p90_s <= _STEADY * self.engine_only.median_s


def speed_of(engine_only_s: Sequence[float], end_to_end_s: Sequence[float], stages: Sequence[StageTimes]) -> Speed:
    """Figures of at least one sample each: seconds a field, all above zero."""
    by_name = {
        "prepare": [one.prepare for one in stages],
        "network": [one.network for one in stages],
        "decode": [one.decode for one in stages],
        "record": [one.record for one in stages],
    }
    return Speed(
        fields=len(stages),
        engine_only=_spread(engine_only_s),
        end_to_end=_spread(end_to_end_s),
        stages={name: _spread(values) for name, values in by_name.items()},
        ideal_s=max(
            float(np.median(engine_only_s)),
            float(np.median(by_name["prepare"])),
            float(np.median([one.decode + one.record for one in stages])),
        ),
    )


def speed_section(speed: Speed) -> Section:
    """With the headline as its first check."""
    sentence = (
        f"Reading fields reaches {speed.ratio:.2f} of the speed of the network alone (at least {TARGET:.2f}): "
        f"{_ms(speed.end_to_end.median_s):.1f} ms a field against {_ms(speed.engine_only.median_s):.1f} ms."
    )
    facts = (
        Fact("end_to_end_vs_engine_only", "End-to-end ÷ engine-only", speed.ratio),
        Fact("ideal_ms", "Ideal: the slowest of three stages", _ms(speed.ideal_s), "ms"),
        Fact("ideal_vs_end_to_end", "Ideal ÷ end-to-end, in time", speed.ideal_s / speed.end_to_end.median_s),
        Fact("fields", "Fields measured each way, at least", speed.fields),
    )
    rows = (
        ("engine_only", "the network alone", speed.engine_only),
        ("end_to_end", "frame in to journal, as fast as frames are taken", speed.end_to_end),
        ("prepare", "alone: colour, quality", speed.stages["prepare"]),
        ("network", "alone: network", speed.stages["network"]),
        ("decode", "alone: probabilities to detections", speed.stages["decode"]),
        ("record", "alone: pictures, journal", speed.stages["record"]),
    )
    columns = {"name": "Measured", "what": "What", "median_ms": "Median, ms", "p90_ms": "90 % within, ms"}
    table = Table(
        "times",
        "Time of a field",
        columns,
        tuple((name, what, _ms(spread.median_s), _ms(spread.p90_s)) for name, what, spread in rows),
    )
    checks = (Check(speed.ratio >= TARGET, sentence), _steady_check(speed))
    return Section(SPEED, checks, facts, (table,))


def _steady_check(speed: Speed) -> Check:
    median_ms, p90_ms = _ms(speed.engine_only.median_s), _ms(speed.engine_only.p90_s)
    times = f"the network alone took {median_ms:.1f} ms (median), and in nine fields of ten at most {p90_ms:.1f} ms"
    if speed.steady:
        return Check(True, f"The device was steady: {times}.")
    return Check(False, f"Something else used the device: {times}. Stop it, and measure again.")


def _spread(seconds: Sequence[float]) -> Spread:
    return Spread(float(np.median(seconds)), float(np.quantile(seconds, 0.9)))


def _ms(seconds: float) -> float:
    return 1e3 * seconds
