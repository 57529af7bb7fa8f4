"""Heat over a made-up file system and clock: what L4T and Linux show, and what it says of speed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.device_report.heat import HeatWatch, heat_section
from appliance.device_report.heat_files import read_heat
from appliance.device_report.section import Section


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@dataclass
class Device:
    """Reads fields at a speed that is set, on a clock of its own."""

    root: Path
    now_s: float = 1000.0
    watch: HeatWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = HeatWatch(lambda: self.now_s, lambda at_s: read_heat(at_s, self.root))
        self.shows(celsius=45, load=0, fan=0, gpu_throttle=0)

    def shows(self, *, celsius: float, load: float, fan: int, gpu_throttle: int) -> None:
        thermal = "sys/class/thermal"
        for number, (zone, milli) in enumerate(
            (("cpu-thermal", celsius * 1000 - 500), ("gpu-thermal", celsius * 1000))
        ):
            put(self.root, f"{thermal}/thermal_zone{number}/type", zone)
            put(self.root, f"{thermal}/thermal_zone{number}/temp", f"{milli:.0f}")
        for number, (kind, level) in enumerate((("pwm-fan", fan), ("devfreq-17000000.gpu", gpu_throttle))):
            put(self.root, f"{thermal}/cooling_device{number}/type", kind)
            put(self.root, f"{thermal}/cooling_device{number}/cur_state", str(level))
        put(self.root, "sys/devices/platform/bus@0/17000000.gpu/load", f"{load * 1000:.0f}")

    def reads(self, seconds: float, per_s: float) -> None:
        for _ in range(round(seconds * per_s)):
            self.now_s += 1 / per_s
            self.watch.look()
            self.watch.field_done()

    @property
    def section(self) -> Section:
        return heat_section(self.watch.done_s, self.watch.states)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def facts(section: Section) -> dict[str, object]:
    return {fact.key: fact.value for fact in section.facts}


def test_a_device_that_keeps_its_speed_passes(device: Device) -> None:
    device.shows(celsius=61.5, load=0.8, fan=2, gpu_throttle=0)
    device.reads(600, per_s=10)
    section = device.section
    assert section.passed, section.checks
    assert facts(section)["hottest_celsius"] == 61.5
    assert facts(section)["hottest_zone"] == "gpu-thermal"
    assert facts(section)["first_per_s"] == pytest.approx(10, rel=0.01)
    rows = section.tables[0].rows
    assert len(rows) == 20
    assert rows[0][0] == pytest.approx(30, abs=0.1)
    for row in rows:
        assert row[1:3] == (pytest.approx(10, rel=0.01), 61.5)
        assert row[3:] == (pytest.approx(80), "no")


def test_a_last_minute_that_is_slower_by_more_than_a_twentieth_is_not_passed(device: Device) -> None:
    device.reads(540, per_s=10)
    device.reads(60, per_s=9)
    section = device.section
    assert [check.passed for check in section.checks] == [False, True, True]
    assert facts(section)["slower_percent"] == pytest.approx(10, abs=1)


def test_a_little_slower_still_passes(device: Device) -> None:
    device.reads(540, per_s=10)
    device.reads(60, per_s=9.7)
    assert device.section.passed


def test_throttling_in_the_middle_shows_where_and_by_what(device: Device) -> None:
    device.reads(120, per_s=10)
    device.shows(celsius=99, load=1, fan=3, gpu_throttle=2)
    device.reads(30, per_s=10)
    device.shows(celsius=80, load=1, fan=3, gpu_throttle=0)
    device.reads(120, per_s=10)
    section = device.section
    assert [check.passed for check in section.checks] == [True, True, False]
    assert section.checks[2].sentence == "Clocks were throttled, says devfreq-17000000.gpu."
    throttled = [row[4] != "no" for row in section.tables[0].rows]
    assert throttled[4]
    assert not any(throttled[:3] + throttled[6:])


def test_heat_is_read_every_few_seconds_only(device: Device) -> None:
    device.reads(60, per_s=50)
    assert 11 <= len(device.watch.states) <= 13


def test_zones_that_are_off_or_cannot_be_read_are_left_out(device: Device) -> None:
    thermal = device.root / "sys/class/thermal"
    put(thermal, "thermal_zone7/type", "cv0-thermal")
    put(thermal, "thermal_zone7/temp", "-256000")
    put(thermal, "thermal_zone8/type", "cv1-thermal")
    (thermal / "thermal_zone8/temp").mkdir()
    assert read_heat(0, device.root).celsius == {"cpu-thermal": 44.5, "gpu-thermal": 45.0}


def test_a_system_that_shows_no_heat_is_not_passed(tmp_path: Path) -> None:
    state = read_heat(0, tmp_path)
    assert (state.celsius, state.gpu_load, state.cooling) == ({}, None, {})
    section = heat_section([float(second) for second in range(100)], [state])
    assert [check.passed for check in section.checks] == [True, False, False]
    assert facts(section)["hottest_celsius"] is None
    assert section.tables[0].rows[0][2:] == (None, None, None)


@pytest.mark.parametrize("done_s", [[], [0.0, 1.0, 2.0], [0.0, 90.0, 95.0, 100.0]])
def test_too_few_fields_say_nothing_and_are_not_passed(done_s: list[float]) -> None:
    section = heat_section(done_s, [])
    assert not section.passed
    assert not section.facts
