"""Counted percentiles are those of sorting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from appliance.scan.levels import percentile

PICTURES = st.one_of(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12)),
    arrays(np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 510)),
)


@given(PICTURES, st.floats(0.0, 100.0))
def test_it_is_the_percentile_of_the_sorted_values(picture: np.ndarray, percent: float) -> None:
    assert percentile(picture, percent) == pytest.approx(float(np.percentile(picture, percent)), abs=1e-6)


def test_a_picture_may_be_a_view_with_gaps() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (64, 96)).astype(np.uint8)
    assert percentile(picture[::8, ::8], 95.0) == pytest.approx(float(np.percentile(picture[::8, ::8], 95.0)))
