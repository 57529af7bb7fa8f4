"""A stage quick enough for tests: the same errors and protocol, more speed, less travel to home."""

from __future__ import annotations

from drivers.stage import StageSettings, standard_stage
from drivers.twin.mechanics import MechanicsSettings, XYMechanics, ZMechanics

QUICK = MechanicsSettings(
    x=XYMechanics(max_um=80_000, start_um=2_000, speed_mm_s=120, acceleration_mm_s2=5_000),
    y=XYMechanics(max_um=30_000, start_um=1_000, speed_mm_s=120, acceleration_mm_s2=5_000),
    z=ZMechanics(start_um=800, speed_mm_s=10, acceleration_mm_s2=200),
)


def quick_settings(port: str, **changes: object) -> StageSettings:
    """Settings that fit QUICK, with short settling and a short patience."""
    plain = standard_stage(port, reply_timeout_s=0.25)
    axes = {name: {**plain.axis(name).model_dump(), "settle_ms": 5} for name in ("x", "y", "z")}
    return StageSettings.model_validate({**plain.model_dump(), **axes, **changes})
