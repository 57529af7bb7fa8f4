"""What a frame is reduced to, what of it is the camera's, and what it says about the slide."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.scan.focus.baseline import Baseline, learn_baseline
from appliance.scan.focus.content import Content, look
from appliance.scan.focus.measure import Measurement, measure

from .painted import BLUE, CLEAR, GREY, OPTICS, Picture, bayer, cells, clear, frame, inked, with_discs

GAIN = 0.008


def taken(picture: Picture, seed: int = 0) -> Measurement:
    return measure(frame(bayer(picture, np.random.default_rng(seed))))


def flat_light() -> Baseline:
    return Baseline(GAIN, CLEAR)


def seen(picture: Picture, baseline: Baseline | None = None) -> Content:
    return look(taken(picture), baseline or flat_light(), OPTICS.um_per_px)


@pytest.mark.parametrize("level", [60.0, 140.0, 230.0])
def test_energy_of_an_empty_frame_is_the_photon_law(level: float) -> None:
    measured = taken(np.full_like(clear(), level))
    assert float(measured.energy.mean()) == pytest.approx(4 * (GAIN * level + 1 / 12), rel=0.02)
    assert abs(float(flat_light().excess(measured).mean())) < 0.1


def test_differences_are_of_samples_two_apart() -> None:
    """Of a slope of one grey level a sample, along rows: two levels, squared."""
    slope = np.tile(np.arange(64, dtype=np.uint8).repeat(2) + 100, (128, 1))
    inner = measure(frame(slope)).energy[:, 1:-1]
    assert inner == pytest.approx(np.full_like(inner, 4.0))


def test_shapes_follow_the_frame_and_odd_rims_are_left_out() -> None:
    pixels = np.full((1208, 1928), 200, np.uint8)
    measured = measure(frame(pixels))
    assert measured.energy.shape == (37, 60)
    assert measured.cells.shape == (148, 240, 3)
    assert measured.level.shape == (37, 60)


def test_cells_keep_their_colours() -> None:
    picture = clear()
    picture[64:128, 96:160] = BLUE
    assert taken(picture).cells[10, 14] == pytest.approx(BLUE, abs=1.5)
    assert taken(picture).cells[1, 1] == pytest.approx(CLEAR, abs=1.5)


def test_a_colour_frame_is_measured_on_the_same_lattice() -> None:
    picture = np.clip(cells(), 0, 255).astype(np.uint8)
    mosaic = picture[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = picture[0::2, 0::2, 0], picture[1::2, 1::2, 2]
    from_colour, from_bayer = measure(frame(picture)), measure(frame(mosaic))
    assert np.array_equal(from_colour.energy, from_bayer.energy)
    assert np.array_equal(from_colour.cells, from_bayer.cells)


def test_gain_is_found_under_dense_cells() -> None:
    places = [[taken(cells(200, seed)), taken(clear(), seed)] for seed in range(3)]
    assert learn_baseline(places).gain == pytest.approx(GAIN, rel=0.05)
    assert learn_baseline([[taken(cells(60))]]).gain == pytest.approx(GAIN, rel=0.1)


def test_what_every_place_shows_belongs_to_the_camera() -> None:
    dust = clear() / np.array(CLEAR, np.float32)
    dust[100:140, 200:240] *= 0.7
    dust[:, :256] *= 0.93
    known = learn_baseline([[taken(cells(30, seed) * dust, seed)] for seed in range(8)])
    empty = taken(clear() * dust, 99)
    assert float(np.abs(known.density(empty)).mean()) < 0.01
    assert float(known.excess(empty).max()) < 6 * float(known.scatter(empty).max())
    assert float(flat_light().excess(empty).max()) > 50


def test_two_places_are_too_few_to_blame_the_camera() -> None:
    known = learn_baseline([[taken(cells(60))], [taken(cells(60), 1)]])
    assert known.shade is None
    assert known.fixed is None


def test_a_baseline_needs_frames() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        learn_baseline([[]])


def test_lamp_off_gives_a_finite_baseline_and_hides_everything() -> None:
    dark = measure(frame(np.ones((384, 512), np.uint8)))
    known = learn_baseline([[dark]])
    assert np.isfinite(known.floor(dark)).all()
    assert look(dark, known, OPTICS.um_per_px).hidden == 1.0


def test_noise_alone_has_no_structure() -> None:
    for seed in range(20):
        content = look(taken(clear(), seed), flat_light(), OPTICS.um_per_px)
        assert not content.structured.any()
        assert content.covered < 0.01


def test_one_cell_is_structure() -> None:
    one = seen(with_discs(clear(), 1, BLUE, seed=3))
    assert 1 <= int(one.structured.sum()) <= 9


def test_grey_specks_are_foreign_not_specimen() -> None:
    content = seen(with_discs(clear(), 5, GREY))
    assert not content.structured.any()
    assert int(content.foreign.sum()) >= 5


def test_ink_hides_what_it_covers_and_its_edge_is_not_structure() -> None:
    content = seen(inked(clear(), 0.6))
    assert content.hidden == pytest.approx(0.6, abs=0.06)
    assert not content.structured.any()


def test_cells_beside_ink_still_count() -> None:
    content = seen(inked(cells(80), 0.6))
    assert content.structured.sum() > 12


def test_a_piece_of_ink_is_ink_and_what_frays_from_it_too() -> None:
    black = (6.0, 10.0, 60.0)
    piece = with_discs(clear(), 1, black, seed=5, px=60)
    whole = seen(piece)
    assert 0.02 < whole.hidden < 0.1
    assert int(whole.structured.sum()) <= 1
    row, col = np.argwhere(piece[..., 0] < 20).mean(axis=0).round().astype(int)
    frayed: NDArray[np.float32] = piece.copy()
    cv2.line(frayed, (int(col), int(row)), (int(col) + 130, int(row) + 10), black, 14, cv2.LINE_AA)
    assert seen(frayed).hidden > whole.hidden


def test_what_is_clear_is_seen_even_when_the_survey_lay_under_ink() -> None:
    under_ink = learn_baseline([[taken(np.full_like(clear(), 90.0), seed)] for seed in range(4)])
    content = look(taken(with_discs(clear(), 1, (6.0, 10.0, 60.0), seed=5, px=60), 9), under_ink, OPTICS.um_per_px)
    assert 0.02 < content.hidden < 0.1
    assert int(content.structured.sum()) <= 1


def test_a_field_of_dark_cells_is_not_ink() -> None:
    assert seen(with_discs(clear(), 150, BLUE)).hidden == 0.0


def test_vignetting_is_not_cover() -> None:
    rows, cols = np.mgrid[-1:1:384j, -1:1:512j]
    shade = (1 - 0.08 * (rows**2 + cols**2) / 2)[..., None]
    dimmed: NDArray[np.float32] = (clear() * shade).astype(np.float32)
    known = learn_baseline([[taken(dimmed, seed)] for seed in range(4)])
    content = look(taken(dimmed, 9), known, OPTICS.um_per_px)
    assert content.covered < 0.01
    assert not content.structured.any()
