"""What the twin's axes are like: validated numbers with their units.

Defaults and ranges are engineering estimates for a motorised slide scanner: open-loop lead-screw X and Y, a fine-pitch
focus drive. Zero switches an error off. Sources for the orders of magnitude: Squid firmware (speeds, accelerations,
waiting times), OpenStage (Z unidirectional and bidirectional error), ASI stage specifications (repeatability).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class AxisMechanics(BaseModel):
    """One axis: travel, motion profile, and the errors between command and truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_um: float = 0.0
    max_um: float
    start_um: float
    step_um: float
    speed_mm_s: float
    acceleration_mm_s2: float
    settle_amplitude_um: float
    settle_tau_ms: float
    settle_hz: float = Field(ge=5, le=300)
    repeatability_um: float
    backlash_um: float

    @model_validator(mode="after")
    def _start_inside_travel(self) -> AxisMechanics:
        if not self.min_um <= self.start_um <= self.max_um:
            raise ValueError(f"start_um {self.start_um} lies outside the travel {self.min_um}..{self.max_um} µm")
        return self


class XYMechanics(AxisMechanics):
    """A lead-screw axis in the specimen plane."""

    max_um: float = Field(default=80_000.0, gt=0, le=300_000)
    start_um: float = 21_000.0
    step_um: float = Field(default=0.15625, gt=0, le=2)
    speed_mm_s: float = Field(default=25.0, ge=7, le=120)
    acceleration_mm_s2: float = Field(default=500.0, ge=50, le=5000)
    settle_amplitude_um: float = Field(default=3.0, ge=0, le=12, description="ringing just after the axis reports idle")
    settle_tau_ms: float = Field(default=25.0, ge=10, le=40)
    settle_hz: float = Field(default=35.0, ge=5, le=300)
    repeatability_um: float = Field(default=0.5, ge=0, le=3, description="1 sigma, drawn anew for each move")
    backlash_um: float = Field(default=2.0, ge=0, le=6)


class ZMechanics(AxisMechanics):
    """The focus axis; z grows toward the slide, so small z is retracted."""

    max_um: float = Field(default=6_000.0, gt=0, le=50_000)
    start_um: float = 1_500.0
    step_um: float = Field(default=0.1, ge=0.005, le=0.2)
    speed_mm_s: float = Field(default=2.0, ge=0.5, le=10)
    acceleration_mm_s2: float = Field(default=20.0, ge=5, le=200)
    settle_amplitude_um: float = Field(default=0.3, ge=0, le=3, description="ringing just after the axis reports idle")
    settle_tau_ms: float = Field(default=6.0, ge=1, le=40)
    settle_hz: float = Field(default=60.0, ge=5, le=300)
    repeatability_um: float = Field(default=0.08, ge=0, le=0.2, description="1 sigma when approached from one side")
    backlash_um: float = Field(default=0.7, ge=0, le=2)


class MechanicsSettings(BaseModel):
    """All axes, and what couples and disturbs them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=1, ge=0)
    x: XYMechanics = XYMechanics()
    y: XYMechanics = XYMechanics(max_um=30_000.0, start_um=9_000.0)
    z: ZMechanics = ZMechanics()

    xy_scale_error: float = Field(
        default=2e-4, ge=-2e-3, le=2e-3, description="true length over commanded length, minus 1"
    )
    orthogonality_mrad: float = Field(default=0.3, ge=-3, le=3)
    screw_pitch_um: float = Field(default=1_000.0, ge=100, le=5_000)
    pitch_error_um: float = Field(
        default=1.5, ge=0, le=6, description="XY periodic error at the screw pitch, peak to peak"
    )

    flatness_um: float = Field(
        default=6.0, ge=0, le=20, description="smooth XY to Z crosstalk over 75 mm, peak to peak"
    )
    flatness_pitch_um: float = Field(default=0.3, ge=0, le=2, description="crosstalk at the screw pitch, peak to peak")

    warmup_um: float = Field(default=12.0, ge=-50, le=50)
    warmup_tau_min: float = Field(default=35.0, ge=1, le=300)
    thermal_um_per_k: float = Field(default=2.5, ge=0, le=10)
    room_swing_k: float = Field(default=0.7, ge=0, le=5, description="amplitude of the room's temperature")
    room_period_min: float = Field(default=20.0, ge=1, le=600)
    random_walk_um_per_sqrt_min: float = Field(default=0.05, ge=0, le=1)

    vibration_um: float = Field(default=0.05, ge=0, le=1, description="root mean square per axis, 20 to 60 Hz")

    def harsh(self) -> MechanicsSettings:
        """The same stage with every error doubled; travel, speeds and time constants stay."""
        axis_errors = ("settle_amplitude_um", "repeatability_um", "backlash_um")
        own_errors = (
            "xy_scale_error", "orthogonality_mrad", "pitch_error_um", "flatness_um", "flatness_pitch_um", "warmup_um",
            "thermal_um_per_k", "random_walk_um_per_sqrt_min", "vibration_um",
        )  # fmt: skip
        values = self.model_dump()
        for axis in ("x", "y", "z"):
            values[axis].update({name: 2 * values[axis][name] for name in axis_errors})
        values.update({name: 2 * values[name] for name in own_errors})
        return MechanicsSettings.model_validate(values)
