"""Figures from made-up times."""

from __future__ import annotations

import pytest

from appliance.device_report.speed import StageTimes, speed_of, speed_section

GPU_LIKE = StageTimes(prepare=0.004, network=0.010, decode=0.001, record=0.002)


def test_the_headline_is_end_to_end_throughput_over_that_of_the_network() -> None:
    speed = speed_of([0.010] * 9, [0.017] * 9, [GPU_LIKE] * 9)
    assert speed.ratio == pytest.approx(10 / 17)
    assert not speed_section(speed).passed


def test_at_nine_tenths_it_passes() -> None:
    assert speed_section(speed_of([0.0091], [0.010], [GPU_LIKE])).passed
    assert not speed_section(speed_of([0.0089], [0.010], [GPU_LIKE])).passed


def test_the_ideal_is_the_slowest_of_three_threads() -> None:
    assert speed_of([0.009], [0.02], [GPU_LIKE]).ideal_s == pytest.approx(0.009), "the network, never waiting"
    slow_disk = StageTimes(prepare=0.004, network=0.010, decode=0.001, record=0.020)
    assert speed_of([0.01], [0.04], [slow_disk]).ideal_s == pytest.approx(0.021)
    slow_core = StageTimes(prepare=0.014, network=0.010, decode=0.001, record=0.003)
    assert speed_of([0.01], [0.04], [slow_core]).ideal_s == pytest.approx(0.014)


def test_one_slow_field_moves_the_90th_percentile_and_not_the_median() -> None:
    speed = speed_of([0.010] * 10, [0.011] * 8 + [0.500] * 2, [GPU_LIKE])
    assert speed.end_to_end.median_s == pytest.approx(0.011)
    assert speed.end_to_end.p90_s == pytest.approx(0.500)
    assert speed.steady


def test_where_the_network_itself_is_not_steady_no_ratio_is_believed() -> None:
    busy = speed_of([0.010] * 8 + [0.015] * 2, [0.010] * 10, [GPU_LIKE])
    assert busy.ratio == 1
    assert [check.passed for check in speed_section(busy).checks] == [True, False]


def test_the_section_has_each_stage_in_milliseconds() -> None:
    section = speed_section(speed_of([0.010], [0.017], [GPU_LIKE]))
    medians = {row[0]: row[2] for row in section.tables[0].rows}
    expected = {"engine_only": 10, "end_to_end": 17, "prepare": 4, "network": 10, "decode": 1, "record": 2}
    assert medians == pytest.approx(expected)
