"""Peaks of focus curves that real microscopes gave, fitted as a scan fits its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from .real_curves import MEASURES, measure_set

EVERY = {"WBC": 25, "BMA": 1, "TBF": 1}
"""Of 25,773 stacks of white cells every 25th, to save time; `make bench-focus-curves` takes them all."""


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", EVERY)
def test_peaks_of_real_curves_lie_on_the_plane_others_agree_on(real_data: Path, name: str, measure: str) -> None:
    """A fit of all planes is as good as their highest sample, and about three of them already say nearly as much."""
    found = measure_set(real_data / "focus_curves" / name, measure, EVERY[name])
    assert found.fit_within_one >= found.argmax_within_one - 0.005, found
    assert found.fit_trusted_wrong <= 0.002, found
    assert found.search_trusted >= 0.85, found
    assert found.search_trusted_wrong <= 0.035, found
    assert found.search_exposures <= 3.5, found
