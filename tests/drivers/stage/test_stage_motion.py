"""Times and ways, on paper."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.stage import StageSettings, standard_stage
from drivers.stage.motion import EndEstimate, Standing, Trapezoid, plan_legs, schedule, walk, z_way
from drivers.stage.settings import AxisName

XY = Trapezoid(25_000, 500_000)
Z = Trapezoid(2_000, 20_000)
PROFILES: dict[AxisName, Trapezoid] = {"x": XY, "y": XY, "z": Z}
SETTINGS = standard_stage("/dev/null")


def at(x_um: float = 38_000, y_um: float = 13_000, z_um: float = 3_000, rising_from: float | None = None) -> Standing:
    return Standing(x_um, y_um, z_um, z_um if rising_from is None else rising_from)


def test_durations_of_the_field_budget() -> None:
    assert XY.duration_s(565) == pytest.approx(2 * math.sqrt(565 / 500_000))
    assert XY.duration_s(565) == pytest.approx(0.067, abs=0.001)
    assert Z.duration_s(-3) == pytest.approx(0.0245, abs=0.0001)
    assert XY.duration_s(50_000) == pytest.approx(50_000 / 25_000 + 0.05)
    assert XY.duration_s(0) == 0


@given(st.floats(0, 100_000), st.floats(0, 100_000))
def test_longer_ways_take_longer(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert XY.duration_s(low) <= XY.duration_s(high)


def test_z_ends_upward() -> None:
    assert z_way(at(z_um=3_000), 3_010, 3) == (3_010,)
    assert z_way(at(z_um=3_000), 2_990, 3) == (2_987, 2_990)
    assert z_way(at(z_um=3_000), 3_001, 3) == (2_998, 3_001), "after a way down the play is not yet taken up"
    assert z_way(at(z_um=3_000, rising_from=2_990), 3_001, 3) == (3_001,), "an upward way that goes on"
    assert z_way(at(z_um=3_000, rising_from=2_990), 3_000, 3) == ()


@given(st.lists(st.floats(2_900, 3_100), min_size=1, max_size=10))
def test_every_z_way_ends_with_the_whole_approach(targets: list[float]) -> None:
    now, up_from, last = at(z_um=500), 500.0, 500.0
    for target in targets:
        for stop in z_way(now, target, 3.0):
            up_from = stop if stop < last else up_from
            last = stop
            now = now.after("z", stop)
        assert last == target
        assert target - up_from >= 3.0 - 1e-9 or now.z_um == 500


def test_one_field_step_runs_side_by_side() -> None:
    legs = plan_legs(at(), {"x": 38_565, "z": 3_001}, SETTINGS)
    assert legs == [{"x": (38_565,), "z": (2_998, 3_001)}]


def test_a_long_way_goes_under_the_safe_height() -> None:
    legs = plan_legs(at(), {"x": 50_000, "z": 3_005}, SETTINGS)
    assert legs == [{"z": (2_900,)}, {"x": (50_000,)}, {"z": (3_005,)}]
    assert plan_legs(at(), {"x": 50_000}, SETTINGS) == [{"z": (2_900,)}, {"x": (50_000,)}]
    assert plan_legs(at(z_um=500), {"x": 50_000, "z": 3_005}, SETTINGS) == [{"x": (50_000,)}, {"z": (3_005,)}]


@given(x=st.floats(0, 80_000), y=st.floats(0, 30_000), z=st.floats(500, 6_000), start_z=st.floats(500, 6_000))
def test_xy_never_goes_far_with_z_high(x: float, y: float, z: float, start_z: float) -> None:
    now = at(z_um=start_z)
    for leg in plan_legs(now, {"x": x, "y": y, "z": z}, SETTINGS):
        travel = max((abs(leg[a][0] - now.of(a)) for a in ("x", "y") if a in leg), default=0)
        if travel > SETTINGS.long_xy_um:
            assert now.z_um <= SETTINGS.safe_z_um
            assert "z" not in leg
        now = walk(now, leg)
    assert (now.x_um, now.y_um, now.z_um) == (x, y, z)


def test_nothing_to_do_takes_no_time() -> None:
    assert plan_legs(at(), {"x": 38_000, "z": 3_000}, SETTINGS) == []
    assert schedule(at(), (), PROFILES, {"x": 0.08, "y": 0.08, "z": 0.02}) == (0.0, 0.0)


def test_schedule_settles_each_axis_from_its_own_end() -> None:
    settles: dict[AxisName, float] = {"x": 0.08, "y": 0.08, "z": 0.02}
    legs = tuple(plan_legs(at(), {"x": 38_565, "z": 2_990}, SETTINGS))
    motion_s, total_s = schedule(at(), legs, PROFILES, settles)
    x_s = XY.duration_s(565)
    z_s = Z.duration_s(13) + Z.duration_s(3)
    assert motion_s == pytest.approx(max(x_s, z_s))
    assert total_s == pytest.approx(max(x_s + 0.08, z_s + 0.02))


def test_estimate_learns_a_late_controller_and_ignores_one_hiccup() -> None:
    estimate = EndEstimate(margin_s=0.002)
    for _ in range(100):
        estimate.learn(10.0, 10.008, polls=5)
    assert estimate.residual_s == pytest.approx(0.008, abs=0.001)
    estimate.learn(10.0, 10.3, polls=50)
    assert estimate.residual_s < 0.009
    for _ in range(40):
        estimate.learn(10.0, 10.004, polls=1)
    assert estimate.residual_s < 0.0, "always idle at the first look: look earlier"


@pytest.mark.parametrize(
    "changes",
    [
        {"retract_z_um": 3_000, "safe_z_um": 2_000},
        {"safe_z_um": 7_000},
        {"approach_um": -1},
        {"port": ""},
        {"prot": "/dev/ttyUSB0"},
    ],
)
def test_settings_that_cannot_be_right_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        StageSettings.model_validate({**SETTINGS.model_dump(), **changes})


def test_z_must_home_away_from_the_slide() -> None:
    z = {**SETTINGS.z.model_dump(), "sign": -1}
    with pytest.raises(ValueError, match="away from the slide"):
        StageSettings.model_validate({**SETTINGS.model_dump(), "z": z})
    z.pop("sign")
    with pytest.raises(ValueError, match="sign"):
        StageSettings.model_validate({**SETTINGS.model_dump(), "z": z})


def test_counts_and_micrometres() -> None:
    mirrored = SETTINGS.x.model_copy(update={"sign": -1, "zero_um": 80_000.0})
    assert mirrored.to_steps(80_000) == 0
    assert mirrored.to_um(64) == 80_000 - 10
    for um in (0.0, 12_345.6, 79_999.9):
        assert mirrored.to_um(mirrored.to_steps(um)) == pytest.approx(um, abs=mirrored.um_per_step / 2 + 1e-9)
