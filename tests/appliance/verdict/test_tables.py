"""A table read directly: bounds hold in spite of floating-point dust."""

from __future__ import annotations

import pytest

from appliance.assays import AfbGrading, load_assay
from appliance.verdict.tables import grade, label

GRADING = load_assay("afb").grading
assert isinstance(GRADING, AfbGrading)
WHO, CDC = GRADING.tables


@pytest.mark.parametrize(
    ("per_100_hpf", "expected"),
    [(9.9999, "scanty"), (9.9999999999, "1+"), (99.9999999999, "2+"), (1000.0000000001, "2+"), (1000.001, "3+")],
)
def test_bounds_in_spite_of_rounding(per_100_hpf: float, expected: str) -> None:
    assert grade(WHO, positive=True, n=50, net=50.0, per_100_hpf=per_100_hpf).name == expected


@pytest.mark.parametrize(
    ("n", "net", "expected"), [(2, 2.0, "confirm"), (3, 2.5, "confirm"), (3, 2.6, "scanty"), (3, 3.0, "scanty")]
)
def test_fewer_than_three_counts_as_a_person_counts(n: int, net: float, expected: str) -> None:
    assert grade(WHO, positive=True, n=n, net=net, per_100_hpf=1.0).name == expected


def test_what_is_not_positive_has_no_grade() -> None:
    found = grade(CDC, positive=False, n=9, net=5.0, per_100_hpf=500.0)
    assert (found.name, found.min_hpf) == ("no AFB seen", None)


def test_name_and_version() -> None:
    assert label(CDC) == "CDC, version 1"
