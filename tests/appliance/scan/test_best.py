"""The most probable findings so far: what a sorted list of all would say."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.scan.best import BestSoFar


@pytest.mark.parametrize("most", [1, 3, 10])
def test_a_finding_is_taken_where_it_is_among_the_best_until_then(most: int) -> None:
    rng, best, seen = np.random.default_rng(most), BestSoFar(most), list[float]()
    for probability in rng.uniform(0, 1, 60).tolist():
        assert best.takes(probability) == (len(seen) < most or probability > sorted(seen)[-most])
        seen.append(probability)


def test_none_is_taken_where_none_is_kept() -> None:
    assert not BestSoFar(0).takes(0.99)


def test_a_forgotten_one_makes_room() -> None:
    best = BestSoFar(2)
    assert best.takes(0.9)
    assert best.takes(0.8)
    assert not best.takes(0.7)
    best.forget(0.8)
    best.forget(0.1)
    assert best.takes(0.7)
    assert not best.takes(0.6)
