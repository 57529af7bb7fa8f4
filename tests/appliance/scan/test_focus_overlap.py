"""Two visits to one field: what both show is compared, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from appliance.scan.focus.baseline import Baseline
from appliance.scan.focus.curve import Shot, readable_blocks, sharpness_curve, shoot
from appliance.scan.focus.estimate import Width
from appliance.scan.focus.overlap import laid_over
from appliance.scan.focus.search import Search, View
from appliance.scan.focus.surface import Prediction
from appliance.settings import FocusSection

from .painted import BLUE, CLEAR, DOF_UM, HEIGHT, OPTICS, PALE, WIDTH, PaintedSlide, Picture, bayer, cells, frame

BASELINE = Baseline(0.008, CLEAR)
MARGIN = 80


def glass() -> Picture:
    """More than a field: cells, and many more of them along the left."""
    rng = np.random.default_rng(5)
    painted = np.full((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, 3), CLEAR, np.float32)
    for count, width in ((60, WIDTH + 2 * MARGIN), (60, MARGIN)):
        for _ in range(count):
            middle = (int(rng.integers(0, width)), int(rng.integers(0, HEIGHT + 2 * MARGIN)))
            cv2.circle(painted, middle, 16, PALE, -1, cv2.LINE_AA)
            cv2.circle(painted, middle, 9, BLUE, -1, cv2.LINE_AA)
    return painted


def visit(right_px: int, down_px: int, number: int = 1) -> Shot:
    """The field where the stage has come to stand that far beside."""
    picture = glass()[MARGIN + down_px : MARGIN + down_px + HEIGHT, MARGIN + right_px : MARGIN + right_px + WIDTH]
    return shoot(frame(bayer(picture, np.random.default_rng(number)), number), 3000.0, BASELINE, OPTICS.um_per_px)


def apart(one: Shot, other: Shot) -> float:
    """Difference of sharpness, as a share."""
    first, second = (sample.value for sample in sharpness_curve([one, other], BASELINE))
    return abs(first / second - 1.0)


@pytest.mark.parametrize(("right_px", "down_px"), [(-24, 10), (-17, -9), (-30, 0), (-12, 31)])
def test_two_visits_at_one_height_are_equally_sharp_where_both_saw_it(right_px: int, down_px: int) -> None:
    first, again = visit(0, 0), visit(right_px, down_px, 2)
    assert apart(first, again) > 0.03
    assert apart(first, laid_over(first, again, BASELINE, OPTICS.um_per_px)) < 0.012


def test_what_the_second_visit_did_not_see_is_not_asked() -> None:
    first, again = visit(0, 0), visit(-24, 10, 2)
    laid = laid_over(first, again, BASELINE, OPTICS.um_per_px)
    readable = readable_blocks([first, laid])
    assert not readable[:, -1].any()
    assert not readable[0].any()
    assert readable[1:, :-1].mean() > 0.9 * readable_blocks([first])[1:, :-1].mean()
    assert laid.frame is again.frame


def test_a_frame_of_the_same_place_and_one_of_another_stay_as_they_are() -> None:
    first = visit(0, 0)
    same, elsewhere = visit(0, 0, 2), visit(MARGIN - 2, MARGIN - 2, 3)
    assert laid_over(first, same, BASELINE, OPTICS.um_per_px) is same
    assert laid_over(first, elsewhere, BASELINE, OPTICS.um_per_px) is elsewhere


class Beside(PaintedSlide):
    """A stage that comes back beside where it stood before."""

    def expose_at(self, z_um: float):  # noqa: ANN201
        taken = super().expose_at(z_um)
        return replace(taken, pixels=np.roll(taken.pixels, (10, -22), (0, 1)))


def test_a_search_that_goes_on_lays_its_frames_on_those_before_until_it_begins_anew() -> None:
    view = View(BASELINE, Width(2.2 * DOF_UM, 0.2))
    before = shoot(PaintedSlide([(cells(), 0.0)]).expose_at(3000.0), 3000.0, BASELINE, OPTICS.um_per_px)
    device = Beside([(cells(), 0.0)])
    search = Search(device, Prediction(3000.0, DOF_UM), view, FocusSection(), OPTICS)
    search.resume([before])
    assert search.expose(3000.0).content.foreign[-1].all()
    search.resume(())
    assert not search.expose(3000.0).content.foreign[-1].all()
    assert len(search.shots) == 1
