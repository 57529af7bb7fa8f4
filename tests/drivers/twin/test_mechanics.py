"""The axes do what their settings say: measured, not read back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.twin.disturbances import Geometry, Thermal, Vibration
from drivers.twin.mechanics import Axis, Mechanics, MechanicsSettings

AXIS_ERRORS = ("settle_amplitude_um", "repeatability_um", "backlash_um")
OWN_ERRORS = (
    "xy_scale_error", "orthogonality_mrad", "pitch_error_um", "flatness_um", "flatness_pitch_um", "warmup_um",
    "thermal_um_per_k", "random_walk_um_per_sqrt_min", "vibration_um",
)  # fmt: skip


def ideal(axis: str = "z", axis_values: dict[str, Any] | None = None, **own: object) -> MechanicsSettings:
    """A stage without any error but those named."""
    values: dict[str, Any] = dict.fromkeys(OWN_ERRORS, 0)
    for name in ("x", "y", "z"):
        values[name] = dict.fromkeys(AXIS_ERRORS, 0)
    values["y"].update(max_um=30_000, start_um=9_000)
    values[axis].update(axis_values or {})
    return MechanicsSettings.model_validate({**values, **own})


class Bench:
    """Mechanics with a clock in the hand."""

    def __init__(self, chosen: MechanicsSettings) -> None:
        self.now = 100.0
        self.mechanics = Mechanics(chosen, lambda: self.now)

    def go(self, axis: Axis, target_um: float, rest_s: float = 0.5) -> float:
        """Move, let it come to rest; how long the drive took."""
        took = self.mechanics.command_move(axis, target_um) - self.now
        self.now += took + rest_s
        return took

    def true(self, axis: Axis) -> float:
        return self.mechanics.true_position(self.now)["xyz".index(axis)]


@pytest.mark.parametrize(
    ("axis", "distance", "speed", "acceleration"),
    [
        ("x", 565, 25e3, 500e3),
        ("x", 40_000, 25e3, 500e3),
        ("y", 354, 25e3, 500e3),
        ("z", 3, 2e3, 20e3),
        ("z", 500, 2e3, 20e3),
    ],
)
def test_profiles_last_as_long_as_the_trapezoid(axis: Axis, distance: float, speed: float, acceleration: float) -> None:
    bench = Bench(ideal())
    start = bench.mechanics.commanded_um(axis, bench.now)
    began = bench.now
    took = bench.go(axis, start + distance)
    step = bench.mechanics.axis(axis).step_um
    truly = round((start + distance) / step) * step - start
    short = 2 * math.sqrt(truly / acceleration)
    assert took == pytest.approx(short if truly < speed**2 / acceleration else truly / speed + speed / acceleration)
    half = bench.mechanics.commanded_um(axis, began + took / 2)
    assert half == pytest.approx(start + truly / 2), "the profile is symmetrical"
    assert bench.mechanics.busy(axis, began + took - 1e-6)
    assert not bench.mechanics.busy(axis, began + took + 1e-6)


@given(st.lists(st.tuples(st.floats(0, 6_000), st.floats(0.0, 0.4)), min_size=1, max_size=6))
@settings(max_examples=60)
def test_motion_respects_speed_and_acceleration_even_when_redirected(orders: list[tuple[float, float]]) -> None:
    bench = Bench(ideal())
    began = bench.now
    for target, pause in orders:
        bench.mechanics.command_move("z", target)
        bench.now += pause
    end = max(bench.now, bench.mechanics.done_s("z"))
    t = np.linspace(began, end, 2_000)
    z = np.array([bench.mechanics.commanded_um("z", x) for x in t])
    dt = t[1] - t[0]
    if dt > 1e-9:
        velocity = np.diff(z) / dt
        assert np.abs(velocity).max() <= 2_000 * 1.001
        assert np.abs(np.diff(velocity) / dt).max() <= 20_000 * 1.05 + 1e-6 / dt**2
    assert z[-1] == pytest.approx(round(orders[-1][0] / 0.1) * 0.1, abs=1e-6)


def test_the_backlash_loop_is_as_wide_as_the_setting() -> None:
    bench = Bench(ideal("z", {"backlash_um": 0.7}))
    way = np.arange(2_990, 3_010.01, 0.5)
    bench.go("z", 2_980)
    up = {}
    for target in way:
        bench.go("z", float(target))
        up[target] = bench.true("z") - target
    bench.go("z", 3_020)
    down = {}
    for target in way[::-1]:
        bench.go("z", float(target))
        down[target] = bench.true("z") - target
    loop = np.array([down[target] - up[target] for target in way])
    assert loop == pytest.approx(0.7, abs=1e-6)
    assert np.array(list(up.values())) == pytest.approx(0, abs=1e-6), "true when approached from below"


def test_play_is_taken_up_before_the_load_follows() -> None:
    bench = Bench(ideal("z", {"backlash_um": 0.7}))
    bench.go("z", 2_000)
    bench.go("z", 1_999.7)
    assert bench.true("z") == pytest.approx(2_000), "0.3 µm back moves nothing yet"
    bench.go("z", 1_999.0)
    assert bench.true("z") == pytest.approx(1_999.7)
    bench.go("z", 1_999.5)
    assert bench.true("z") == pytest.approx(1_999.7), "a small minor loop"
    bench.go("z", 1_999.9)
    assert bench.true("z") == pytest.approx(1_999.9)


def test_settling_decays_with_its_time_constant_and_frequency() -> None:
    bench = Bench(ideal("x", {"settle_amplitude_um": 3.0, "settle_tau_ms": 25.0, "settle_hz": 35.0}))
    bench.go("x", 21_565, rest_s=0.0)
    t = np.arange(0, 0.12, 1e-4)
    off = np.array([bench.mechanics.true_position(bench.now + x)[0] for x in t])
    off -= bench.mechanics.commanded_um("x", bench.now)
    assert off[0] == pytest.approx(3.0, abs=0.01)
    peaks = np.array([off[i] for i in range(1, len(t) - 1) if off[i] >= off[i - 1] and off[i] > off[i + 1]])
    times = np.array([t[i] for i in range(1, len(t) - 1) if off[i] >= off[i - 1] and off[i] > off[i + 1]])
    tau_ms, _ = np.polyfit(times, np.log(peaks), 1)
    assert -1e3 / tau_ms == pytest.approx(25.0, rel=0.02)
    assert np.diff(times) == pytest.approx(1 / 35, rel=0.02)


def test_a_small_step_rings_less() -> None:
    bench = Bench(ideal("z", {"settle_amplitude_um": 0.3}))
    bench.go("z", 1_501, rest_s=0.0)
    assert bench.true("z") - 1_501 == pytest.approx(0.15, abs=1e-3)


def test_repeatability_has_its_deviation_and_belongs_to_the_move() -> None:
    bench = Bench(ideal("z", {"repeatability_um": 0.08}))
    offs = []
    for _ in range(1_500):
        bench.go("z", 1_490)
        bench.go("z", 1_500)
        offs.append(bench.true("z") - 1_500)
        bench.now += 10
        assert bench.true("z") - 1_500 == offs[-1], "it stays where it stopped"
    assert np.std(offs) == pytest.approx(0.08, rel=0.08)
    assert np.mean(offs) == pytest.approx(0.0, abs=0.008)


def test_same_seed_and_orders_give_the_same_stage() -> None:
    runs = []
    for seed, looks in ((5, 1), (5, 50), (6, 1)):
        bench = Bench(MechanicsSettings(seed=seed))
        for target in (3_000, 3_004, 2_999):
            bench.go("z", target)
            bench.go("x", 20_000 + target)
            for k in range(looks):
                bench.mechanics.true_position(bench.now + 0.01 * k)
        runs.append(bench.mechanics.true_position(bench.now))
    assert runs[0] == runs[1], "looking often must change nothing"
    assert runs[0] != runs[2]


def test_scale_squareness_and_pitch() -> None:
    scaled = Geometry(ideal(xy_scale_error=2e-4))
    assert scaled.true_xy(10_000, 0)[0] == pytest.approx(10_002)
    skewed = Geometry(ideal(orthogonality_mrad=0.3))
    assert skewed.true_xy(10_000, 5_000)[1] == pytest.approx(5_003)
    rippled = Geometry(ideal(pitch_error_um=1.5))
    errors = [rippled.true_xy(x, 0)[0] - x for x in np.arange(0, 3_000, 5.0)]
    assert max(errors) - min(errors) == pytest.approx(1.5, rel=0.01)
    assert rippled.true_xy(1_250, 0)[0] - 1_250 == pytest.approx(rippled.true_xy(250, 0)[0] - 250)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_flatness_has_its_height_and_is_smooth(seed: int) -> None:
    plate = Geometry(ideal(seed=seed, flatness_um=6.0))
    heights = np.array(
        [[plate.crosstalk_um(x, y) for x in np.arange(0, 75_001, 1_250.0)] for y in np.arange(0, 30_001, 1_250.0)]
    )
    assert np.ptp(heights) == pytest.approx(6.0, rel=0.01)
    one_field = max(
        abs(plate.crosstalk_um(x + 565, 13_000) - plate.crosstalk_um(x, 13_000)) for x in range(0, 70_000, 500)
    )
    assert one_field < 0.4
    ripple = Geometry(ideal(seed=seed, flatness_pitch_um=0.3))
    waves = [ripple.crosstalk_um(x, y) for x in np.arange(0, 1_000, 20.0) for y in np.arange(0, 1_000, 20.0)]
    assert np.ptp(waves) == pytest.approx(0.3, rel=0.02)


def test_warm_up_and_room() -> None:
    warm = Thermal(ideal(warmup_um=12.0, warmup_tau_min=35.0))
    assert warm.z_um(0) == 0
    assert warm.z_um(35 * 60) == pytest.approx(12 * (1 - math.exp(-1)))
    assert warm.z_um(100 * 3600) == pytest.approx(12)
    room = Thermal(ideal(thermal_um_per_k=2.5, room_swing_k=0.7))
    values = [room.z_um(t) for t in range(0, 2_400, 10)]
    assert np.ptp(values) == pytest.approx(2 * 2.5 * 0.7, rel=0.01)


def test_random_walk_grows_with_the_root_of_time() -> None:
    ends = {
        minutes: np.std(
            [Thermal(ideal(seed=s, random_walk_um_per_sqrt_min=0.05)).z_um(60 * minutes) for s in range(200)]
        )
        for minutes in (1, 16)
    }
    assert ends[1] == pytest.approx(0.05, rel=0.2)
    assert ends[16] == pytest.approx(0.20, rel=0.2)


def test_vibration_has_its_strength_and_band() -> None:
    shake = Vibration(ideal(vibration_um=0.05))
    t = np.arange(0, 20, 1e-3)
    z = np.array([shake.at(float(x))[2] for x in t])
    assert np.sqrt(np.mean(z**2)) == pytest.approx(0.05, rel=0.1)
    power = np.abs(np.fft.rfft(z)) ** 2
    band = (np.fft.rfftfreq(len(z), 1e-3) >= 19) & (np.fft.rfftfreq(len(z), 1e-3) <= 61)
    assert power[band].sum() / power.sum() > 0.99


def test_harsh_doubles_the_errors_and_nothing_else() -> None:
    plain, harsh = MechanicsSettings(seed=9), MechanicsSettings(seed=9).harsh()
    assert harsh.z.backlash_um == 2 * plain.z.backlash_um
    assert harsh.x.settle_amplitude_um == 2 * plain.x.settle_amplitude_um
    assert harsh.flatness_um == 2 * plain.flatness_um
    assert harsh.x.speed_mm_s == plain.x.speed_mm_s
    assert harsh.z.settle_tau_ms == plain.z.settle_tau_ms
    assert harsh.seed == plain.seed


@pytest.mark.parametrize(
    "changes",
    [
        {"z": {"backlash_um": 5}},
        {"x": {"speed_mm_s": 1000}},
        {"x": {"backlash": 1}},
        {"z": {"start_um": 7_000}},
        {"flatness_um": -1},
        {"vibrations": 1},
    ],
)
def test_settings_out_of_range_or_misspelt_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        MechanicsSettings.model_validate(changes)


def test_stop_brakes_halt_freezes_and_both_may_be_repeated() -> None:
    bench = Bench(ideal())
    bench.mechanics.command_move("x", 60_000)
    bench.now += 0.5
    bench.mechanics.stop("x")
    bench.mechanics.stop("x")
    at, rest = bench.mechanics.commanded_um("x", bench.now), bench.mechanics.targets()[0]
    assert rest - at == pytest.approx(25_000**2 / (2 * 500_000))
    bench.now += 0.02
    bench.mechanics.halt("x")
    frozen = bench.mechanics.commanded_um("x", bench.now)
    assert at < frozen < rest
    bench.now += 10
    bench.mechanics.halt("x")
    bench.mechanics.stop("x")
    assert bench.mechanics.commanded_um("x", bench.now) == frozen
    assert not bench.mechanics.busy("x", bench.now)
    bench.go("x", 1_000)
    assert bench.mechanics.commanded_um("x", bench.now) == pytest.approx(1_000)


def test_an_order_at_the_very_instant_of_another_replaces_it() -> None:
    bench = Bench(ideal())
    bench.mechanics.command_move("z", 5_000)
    took = bench.mechanics.command_move("z", 1_490) - bench.now
    assert took == pytest.approx(2 * math.sqrt(10 / 20_000))
    assert bench.mechanics.targets()[2] == pytest.approx(1_490)


def test_lost_steps_shift_the_truth_only() -> None:
    bench = Bench(ideal())
    bench.mechanics.slip("x", -4.0)
    bench.go("x", 20_000)
    assert bench.true("x") == pytest.approx(19_996)
    assert bench.mechanics.commanded_um("x", bench.now) == pytest.approx(20_000)


def test_travel_ends_where_it_ends() -> None:
    bench = Bench(ideal())
    bench.go("z", 9_999, rest_s=5)
    assert bench.true("z") == pytest.approx(6_000)
    bench.mechanics.home("z")
    bench.now += 10
    assert bench.true("z") == pytest.approx(0)
