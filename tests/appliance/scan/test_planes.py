"""Two planes of a field: an object in both is one, and what the second shows anew is added."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.records import Finding, ImageQuality, Outcome
from appliance.scan.interpret import Interpretation, ReadingRules
from appliance.scan.planes import TwoPlanes, read_together
from engines.scorer import Detection

RULES = ReadingRules(targets=("malignant", "odd"), count_from=0.5, keep_from=0.2, keep_top=3)
UM_PER_PX = 0.5
WITHIN_UM = 8.0
_QUALITY = ImageQuality((230.0, 230.0, 230.0), 0.0, 0.5, 0.1, 0.0, 5.0)


def plane(z_um: float, *seen: tuple[str, float, float, float]) -> Interpretation:
    """What a plane shows. seen: label, probability, x and y in µm."""
    detections = [Detection(name, p, x / UM_PER_PX, y / UM_PER_PX, 48.0, 48.0) for name, p, x, y in seen]
    counted = tuple(d for d in detections if d.probability >= RULES.count_from)
    counts = {name: n for name in ("malignant", "odd", "benign") if (n := sum(d.label == name for d in counted))}
    findings = tuple(
        Finding(0, d.label, d.probability, d.x_px * UM_PER_PX, d.y_px * UM_PER_PX, z_um, d.x_px, d.y_px, 48.0, 48.0)
        for d in detections
        if d.label in RULES.targets and d.probability >= RULES.keep_from
    )
    return Interpretation(Outcome.USABLE, "", _QUALITY, counts, findings, counted)


def together(first: Interpretation, second: Interpretation) -> TwoPlanes:
    return read_together(first, second, RULES, WITHIN_UM, UM_PER_PX)


@pytest.mark.parametrize(("first", "second", "better"), [(0.3, 0.7, {0: 1}), (0.7, 0.3, {1: 0}), (0.6, 0.7, {0: 1})])
def test_an_object_in_both_planes_is_one_and_the_more_probable_stands(
    first: float, second: float, better: dict[int, int]
) -> None:
    both = together(plane(3000, ("malignant", first, 50, 50)), plane(2991, ("malignant", second, 54, 53)))
    assert both.counts == {"malignant": 1}
    assert both.seen_better == better
    assert [finding.z_um for finding in both.findings] == [3000, 2991]


def test_what_lies_further_apart_or_has_another_label_is_another_object() -> None:
    both = together(
        plane(3000, ("malignant", 0.6, 50, 50), ("odd", 0.6, 90, 50)),
        plane(2991, ("malignant", 0.7, 59, 50), ("malignant", 0.8, 90, 50)),
    )
    assert both.counts == {"malignant": 3, "odd": 1}
    assert both.seen_better == {}


def test_one_blurred_finding_stands_for_one_cell_of_the_second_plane_alone() -> None:
    both = together(
        plane(3000, ("malignant", 0.4, 50, 50)),
        plane(2991, ("malignant", 0.7, 44, 50), ("malignant", 0.6, 53, 50)),
    )
    assert both.counts == {"malignant": 2}
    assert both.seen_better == {0: 2}


def test_cells_of_the_carpet_are_counted_in_the_first_plane_alone() -> None:
    both = together(
        plane(3000, ("benign", 0.9, 50, 50), ("benign", 0.9, 150, 50)),
        plane(2991, ("malignant", 0.7, 53, 50), ("benign", 0.9, 200, 50)),
    )
    assert both.counts == {"malignant": 1, "benign": 1}


def test_a_weak_finding_above_a_cell_leaves_the_cell_counted() -> None:
    both = together(plane(3000, ("benign", 0.9, 50, 50)), plane(2991, ("malignant", 0.4, 50, 50)))
    assert both.counts == {"benign": 1}


def test_a_second_plane_that_shows_nothing_changes_nothing() -> None:
    first = plane(3000, ("malignant", 0.6, 50, 50), ("benign", 0.9, 90, 90))
    both = together(first, plane(2991))
    assert (both.counts, both.findings, both.seen_better) == (first.counts, first.findings, {})


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_the_findings_that_stand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (
        plane(z_um, *(("malignant", *row) for row in (rng.uniform(0, 1, (12, 3)) * (1, 40, 40)).tolist()))
        for z_um in (3000, 2991)
    )
    both = together(first, second)
    standing = [finding for n, finding in enumerate(both.findings) if n not in both.seen_better]
    assert both.counts.get("malignant", 0) == sum(finding.probability >= RULES.count_from for finding in standing)
    assert not set(both.seen_better) & set(both.seen_better.values())
    for weaker, stronger in both.seen_better.items():
        assert both.findings[weaker].probability <= both.findings[stronger].probability
        assert (weaker < len(first.findings)) != (stronger < len(first.findings))
