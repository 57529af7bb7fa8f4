"""What the installer states about the stage; what can be read back from the controller is compared with it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

AxisName = Literal["x", "y", "z"]
AXES: tuple[AxisName, AxisName, AxisName] = ("x", "y", "z")


class AxisSettings(BaseModel):
    """One axis of the controller and how its counts become µm: um = zero_um + sign * um_per_step * count.

    device, axis: address on the controller chain. min_um, max_um: limits set in the controller at installation; they
    are read back at every start. settle_ms: waiting time between "idle" and the first usable exposure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: int = Field(ge=1, le=99)
    axis: int = Field(ge=1, le=9)
    um_per_step: float = Field(gt=0, le=10)
    sign: Literal[1, -1]
    zero_um: float = 0.0
    min_um: float
    max_um: float
    settle_ms: float = Field(ge=0, le=1000)

    @model_validator(mode="after")
    def _ordered(self) -> AxisSettings:
        if self.min_um >= self.max_um:
            raise ValueError(f"min_um {self.min_um} must be below max_um {self.max_um}")
        return self

    def to_steps(self, um: float) -> int:
        """The nearest controller count."""
        return round((um - self.zero_um) * self.sign / self.um_per_step)

    def to_um(self, steps: int) -> float:
        """Stage coordinate of a controller count."""
        return self.zero_um + self.sign * self.um_per_step * steps


class StageSettings(BaseModel):
    """The whole stage. z grows toward the slide; small z is retracted.

    retract_z_um: where Z goes on every abnormal path. safe_z_um: highest Z at which XY may travel further than
    `long_xy_um` in one move. approach_um: Z always ends its way upward over at least this distance, which must exceed
    the backlash. expected_device_ids: controller device number to its hardware id; empty accepts any.
    limit_tolerance_um: largest accepted difference between the limits here and those in the controller.
    arrival_um: largest accepted difference between a target and where the controller says the axis stopped.
    reply_timeout_s: how long one answer may take before the request is repeated or the link given up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: str = Field(min_length=1)
    baud: int = Field(default=115_200, ge=1_200, le=4_000_000)
    dialect: str = "zaber"
    x: AxisSettings
    y: AxisSettings
    z: AxisSettings
    retract_z_um: float = 500.0
    safe_z_um: float = 2_900.0
    long_xy_um: float = Field(default=3_000.0, gt=0)
    approach_um: float = Field(default=3.0, ge=0, le=100)
    expected_device_ids: dict[int, int] = {}
    limit_tolerance_um: float = Field(default=1.0, ge=0, le=100)
    arrival_um: float = Field(default=0.5, gt=0, le=10)
    reply_timeout_s: float = Field(default=0.3, gt=0, le=5)

    @model_validator(mode="after")
    def _z_is_safe(self) -> StageSettings:
        if self.z.sign != 1:
            raise ValueError("z.sign must be 1: homing runs toward count 0, which must be the end away from the slide")
        if not self.z.min_um <= self.retract_z_um <= self.safe_z_um <= self.z.max_um:
            raise ValueError("z limits must satisfy min_um <= retract_z_um <= safe_z_um <= max_um")
        return self

    def axis(self, name: AxisName) -> AxisSettings:
        """Settings of one axis."""
        return {"x": self.x, "y": self.y, "z": self.z}[name]

    def devices(self) -> tuple[int, ...]:
        """Device numbers on the chain, each once, ascending."""
        return tuple(sorted({self.axis(name).device for name in AXES}))


def standard_stage(port: str, **changes: object) -> StageSettings:
    """The stage of the reference instrument: X and Y on device 1, focus on device 2.

    After 80 ms an XY ringing of 3 µm with 25 ms time constant has come down to 0.12 µm, which at 35 Hz blurs a 5 ms
    exposure by at most 0.13 µm (under half a pixel at 450x). The 20 ms of Z are what Squid waits after a Z step.
    """
    values: dict[str, object] = {
        "port": port,
        "x": AxisSettings(device=1, axis=1, um_per_step=0.15625, sign=1, min_um=0, max_um=80_000, settle_ms=80),
        "y": AxisSettings(device=1, axis=2, um_per_step=0.15625, sign=1, min_um=0, max_um=30_000, settle_ms=80),
        "z": AxisSettings(device=2, axis=1, um_per_step=0.1, sign=1, min_um=0, max_um=6_000, settle_ms=20),
    }
    return StageSettings.model_validate({**values, **changes})
