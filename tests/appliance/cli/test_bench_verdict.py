"""Which slides benches read of which every second one is positive, and which shares they refuse."""

from __future__ import annotations

import pytest

from appliance.assays import load_assay
from appliance.cli.app import run
from appliance.cli.bench_reading import Job, half_positive
from appliance.cli.exits import Exit
from appliance.settings import load_settings


def test_every_second_serous_slide_carries_the_next_share() -> None:
    first = Job(load_assay("serous"), load_settings(), 60, 100, None, None, 450)
    jobs = half_positive(first, 6, malignant=(0.01, 0.003), afb_per_hpf=0.5)
    assert [job.malignant for job in jobs] == [None, 0.01, None, 0.003, None, 0.01]
    assert [job.positive for job in jobs] == [False, True] * 3
    assert [job.seed for job in jobs] == list(range(100, 106))
    assert {job.afb_per_hpf for job in jobs} == {None}


def test_every_second_smear_carries_bacilli() -> None:
    first = Job(load_assay("afb"), load_settings(), 60, 100, None, None, 900)
    jobs = half_positive(first, 4, malignant=(0.01,), afb_per_hpf=0.5)
    assert [job.afb_per_hpf for job in jobs] == [None, 0.5, None, 0.5]
    assert {job.malignant for job in jobs} == {None}


@pytest.mark.parametrize("shares", ["", "0.01,", "1 %", "0", "1.5", "nan"])
@pytest.mark.parametrize(("bench", "option"), [("verdict", "--malignant"), ("witness", "--shares")])
def test_a_share_that_is_none_is_refused(
    bench: str, option: str, shares: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", bench, option, shares]) == Exit.USAGE
    assert option in capsys.readouterr().err
