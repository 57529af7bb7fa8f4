"""Pictures of small made-up scenes, whose right answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from drivers.twin.focus_truth import focus_truth
from drivers.twin.imaging import Pose, Prepared, StoreTooSmall, Window, absorbed, expose, prepare, render_rgb
from drivers.twin.layers import GREEN
from drivers.twin.optics import Optics
from drivers.twin.sensor import Sensor
from drivers.twin.settings import CameraModel
from drivers.twin.slide import Layer, Scene, SlideSettings, make_slide

UM = 0.293
FLAT = Optics(na=0.5, um_per_px=UM)
ROWS, COLS = 192, 256
FRAME = (192, 128)


def _scene(*layers: Layer) -> Scene:
    return Scene(UM, 0.0, 0.0, COLS, ROWS, list(layers))


def _centre() -> tuple[float, float]:
    return (COLS - 1) / 2 * UM, (ROWS - 1) / 2 * UM


def _waves(period_px: float, angle: float = 0.6, od: float = 0.15) -> np.ndarray:
    y, x = np.mgrid[0:ROWS, 0:COLS]
    phase = 2 * np.pi / period_px * (x * np.cos(angle) + y * np.sin(angle))
    return np.repeat((od * (1 + np.sin(phase)))[:, :, None], 3, axis=2).astype(np.float32)


def _dots(seed: int, count: int = 60, od: float = 0.6, rows: int = ROWS, cols: int = COLS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:cols]
    total = np.zeros((rows, cols), np.float32)
    for _ in range(count):
        at_x, at_y, radius = rng.uniform(8, cols - 8), rng.uniform(8, rows - 8), rng.uniform(1.5, 4.0)
        outside = np.minimum((np.hypot(x - at_x, y - at_y) - radius) / 0.4, 50.0)
        total = np.maximum(total, od / (1 + np.exp(outside))).astype(np.float32)
    return np.repeat(total[:, :, None], 3, axis=2)


def _sharpness(plane: np.ndarray) -> float:
    inner = plane[8:-8, 8:-8]
    return float((np.diff(inner, axis=0) ** 2).mean() + (np.diff(inner, axis=1) ** 2).mean())


def _look(prepared: Prepared, defocus_um: float, dx_um: float = 0.0, dy_um: float = 0.0) -> np.ndarray:
    x, y = prepared.centre_um
    return absorbed(prepared, Pose.still(x + dx_um, y + dy_um, defocus_um), *FRAME)


def test_every_bayer_site_sees_its_own_place() -> None:
    """A long wave is not blurred in focus: each site must read the wave at its own row and column."""
    od = _waves(40.0)
    transmission = 10 ** -od[:, :, 0].astype(float)
    frame = _look(prepare(_scene(Layer(0.0, od)), FLAT), 0.0)
    top, left = (ROWS - FRAME[1]) // 2, (COLS - FRAME[0]) // 2
    seen = 1 - transmission[top : top + FRAME[1], left : left + FRAME[0]]
    inner = np.s_[16:-16, 16:-16]
    for plane, (row, col) in zip(frame, [(0, 0), (0, 1), (1, 0), (1, 1)], strict=True):
        error = np.abs(plane - seen[row::2, col::2])[inner]
        # A 40-pixel wave loses some 3 % of its range to the optics; a site read one pixel off is wrong by 6 % or more.
        assert error.max() < 0.05 * np.ptp(seen)


@pytest.mark.parametrize(("dx_px", "dy_px"), [(0.5, 0.0), (3.0, -2.0), (-4.25, 7.5)])
def test_a_displaced_stage_displaces_the_picture(dx_px: float, dy_px: float) -> None:
    y, x = np.mgrid[0:ROWS, 0:COLS]

    def hill(at_x: float, at_y: float) -> np.ndarray:
        bump = 0.4 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * 6.0**2))
        return np.repeat(bump[:, :, None], 3, axis=2).astype(np.float32)

    middle = (COLS - 1) / 2 + 5, (ROWS - 1) / 2 - 7
    fixed = prepare(_scene(Layer(0.0, hill(*middle))), FLAT)
    moved = prepare(_scene(Layer(0.0, hill(middle[0] - dx_px, middle[1] - dy_px))), FLAT)
    assert np.abs(_look(fixed, 0.5, dx_px * UM, dy_px * UM) - _look(moved, 0.5)).max() < 2e-3


def test_defocus_blurs_but_takes_no_light() -> None:
    prepared = prepare(_scene(Layer(0.0, _dots(1))), FLAT)
    whole = [absorbed(prepared, Pose.still(*_centre(), z), COLS - 4, ROWS - 4).mean() for z in (0.0, 3.0, 8.0)]
    assert whole[1:] == pytest.approx([whole[0]] * 2, rel=0.03)
    sharp = [_sharpness(_look(prepared, z)[1]) for z in (0.0, 1.5, 4.0, 9.0)]
    assert sharp == sorted(sharp, reverse=True)


def test_each_layer_is_sharp_at_its_own_height() -> None:
    prepared = prepare(_scene(Layer(-6.0, _dots(1)), Layer(6.0, _dots(2))), FLAT)
    alone = prepare(_scene(Layer(6.0, _dots(2))), FLAT)
    heights = np.arange(-10.0, 10.1, 1.0)
    curve = [_sharpness(_look(prepared, z)[1]) for z in heights]
    peaks = [heights[i] for i in range(1, len(curve) - 1) if curve[i - 1] < curve[i] > curve[i + 1]]
    assert peaks == [-6.0, 6.0]
    assert heights[int(np.argmax([_sharpness(_look(alone, z)[1]) for z in heights]))] == 6.0


def test_colours_focus_at_their_own_heights() -> None:
    optics = replace(FLAT, shift_um=(0.5, 0.0, -0.7))
    prepared = prepare(_scene(Layer(0.0, _dots(3))), optics)
    heights = np.arange(-2.0, 2.01, 0.1)
    planes = [_look(prepared, z) for z in heights]
    for plane, expected_um in ((0, 0.5), (1, 0.0), (2, 0.0), (3, -0.7)):
        best = heights[int(np.argmax([_sharpness(frame[plane]) for frame in planes]))]
        assert best == pytest.approx(expected_um, abs=0.15)


def test_field_curvature_lifts_the_corners() -> None:
    od = np.zeros((ROWS, COLS, 3), np.float32)
    od[ROWS // 2 - 16 : ROWS // 2 + 16, COLS // 2 - 16 : COLS // 2 + 16] = _dots(5, 8, rows=32, cols=32)
    od[-56:-36, -56:-36] = _dots(6, 6, rows=20, cols=20)
    # Something faint everywhere makes this one wide layer.
    od += 0.001
    optics = replace(FLAT, curvature_um=3.0)
    prepared = prepare(_scene(Layer(0.0, od)), optics)
    heights = np.arange(-2.0, 4.01, 0.25)
    planes = [_look(prepared, z)[1] for z in heights]

    def best(rows: slice, cols: slice) -> float:
        return float(heights[int(np.argmax([_sharpness(np.pad(p[rows, cols], 8, "edge")) for p in planes]))])

    assert best(np.s_[22:42], np.s_[38:58]) == pytest.approx(0.0, abs=0.3)
    # The corner group is at 0.58 of the half diagonal of the scene: 3 µm x 0.58² = 1.0 µm.
    assert best(np.s_[50:64], np.s_[82:96]) == pytest.approx(1.0, abs=0.5)


def test_a_small_layer_in_its_own_block_gives_the_same_picture() -> None:
    small = _dots(7, 6, rows=40, cols=44)
    whole = np.zeros((ROWS, COLS, 3), np.float32)
    whole[70:110, 101:145] = small
    carpet = Layer(0.0, _dots(8))
    boxed = prepare(_scene(carpet, Layer(5.0, small, row0=70, col0=101)), FLAT)
    spread = prepare(_scene(carpet, Layer(5.0, whole)), FLAT)
    assert len(boxed.blocks) == 2
    assert len(spread.blocks) == 1
    for defocus_um in (0.0, 2.5, 5.0):
        assert np.abs(_look(boxed, defocus_um, 0.7, 0.4) - _look(spread, defocus_um, 0.7, 0.4)).max() < 0.015


def test_moving_blurs_along_the_path_only() -> None:
    prepared = prepare(_scene(Layer(0.0, _dots(9))), FLAT)
    x, y = prepared.centre_um
    path = Pose(x + np.linspace(-1.5, 1.5, 5), np.full(5, y), np.zeros(5))
    still, moving = _look(prepared, 0.0)[1], absorbed(prepared, path, *FRAME)[1]
    along = (np.diff(moving, axis=1) ** 2).mean() / (np.diff(still, axis=1) ** 2).mean()
    across = (np.diff(moving, axis=0) ** 2).mean() / (np.diff(still, axis=0) ** 2).mean()
    assert along < 0.45
    assert across > along * 1.5


def test_a_frame_beyond_the_scene_is_refused() -> None:
    prepared = prepare(_scene(Layer(0.0, _dots(1))), FLAT)
    assert not prepared.covers(_centre()[0] + 10.0, _centre()[1], *FRAME)
    with pytest.raises(ValueError, match="beyond"):
        _look(prepared, 0.0, dx_um=10.0)


def test_spectra_go_into_the_memory_that_is_given() -> None:
    scene = _scene(Layer(0.0, _dots(1)))
    own = prepare(scene, FLAT)
    store = np.zeros(len(own.store) + 100, np.complex64)
    given = prepare(scene, FLAT, store)
    assert np.shares_memory(given.store, store)
    assert np.array_equal(_look(given, 1.0), _look(own, 1.0))
    with pytest.raises(StoreTooSmall):
        prepare(scene, FLAT, np.zeros(len(own.store) - 1, np.complex64))


def _tenengrad(prepared: Prepared, defocus_um: float) -> float:
    """Sobel by hand on both green lattices: central differences of a (1, 2, 1) mean."""
    total = 0.0
    for plane in _look(prepared, defocus_um)[1:3]:
        rows = plane[:-2] + 2 * plane[1:-1] + plane[2:]
        cols = plane[:, :-2] + 2 * plane[:, 1:-1] + plane[:, 2:]
        total += float(((rows[:, 2:] - rows[:, :-2]) ** 2).mean() + ((cols[2:] - cols[:-2]) ** 2).mean()) / 2
    return total


@pytest.mark.parametrize("od", [0.1, 0.3, 0.6])
def test_focus_truth_is_where_green_within_the_frame_is_sharpest(od: float) -> None:
    """Layers over one another make lopsided curves, and curves of two humps."""
    layers = [Layer(-1.0, _dots(1)), Layer(1.0, _dots(2, od=od)), Layer(4.0, _dots(4, 15))]
    prepared = prepare(_scene(*layers), FLAT)
    truth = focus_truth(prepared, *FRAME)
    heights = np.arange(-4.0, 6.01, 0.05)
    curve = [_tenengrad(prepared, z) for z in heights]
    assert truth.defocus_um == pytest.approx(heights[int(np.argmax(curve))], abs=0.1)
    assert truth.energy == pytest.approx(max(curve), rel=0.03)


def test_what_lies_beside_the_frame_does_not_count() -> None:
    """Strong content in the margin, at another height, and faint content in the frame."""
    margin, inner = _dots(3, 200, od=1.2), _dots(4, od=0.15)
    margin[24:-24, 24:-24] = 0.0
    inner[:40] = inner[-40:] = 0.0
    inner[:, :40] = inner[:, -40:] = 0.0
    prepared = prepare(_scene(Layer(-3.0, margin), Layer(3.0, inner)), FLAT)
    truth = focus_truth(prepared, *FRAME)
    assert truth.defocus_um == pytest.approx(3.0, abs=0.2)
    beside = focus_truth(prepared, COLS - 4, ROWS - 4)
    assert beside.defocus_um == pytest.approx(-3.0, abs=0.2)
    assert beside.energy > 2 * truth.energy


def test_an_empty_scene_has_nothing_to_focus_on() -> None:
    truth = focus_truth(prepare(_scene(Layer(0.0, np.zeros((ROWS, COLS, 3), np.float32))), FLAT), *FRAME)
    assert truth.over_noise(200.0, 1.6) < 1e-6
    assert focus_truth(prepare(_scene(), FLAT), *FRAME).energy == 0.0


def test_one_colour_alone_is_the_same_picture() -> None:
    scene = _scene(Layer(0.0, _dots(1)), Layer(2.0, _dots(7, 6, rows=40, cols=44), row0=70, col0=101))
    whole, green = prepare(scene, FLAT), prepare(scene, FLAT, colours=(GREEN,))
    pose = Pose.still(*whole.centre_um, 0.7)
    seen = absorbed(green, pose, *FRAME, colours=(GREEN,))
    assert np.array_equal(seen, absorbed(whole, pose, *FRAME)[1:3])
    assert seen.max() > 0.1


def test_pictures_for_training_are_the_same_for_the_same_numbers() -> None:
    slide = make_slide(SlideSettings(), 3)
    place = {"width_px": 256, "height_px": 192, "um_per_px": UM, "na": 0.5, "defocus_um": 0.5}
    one, objects = render_rgb(slide, 38_000.0, 13_000.0, **place, rng=np.random.default_rng(4))
    two, _ = render_rgb(slide, 38_000.0, 13_000.0, **place, rng=np.random.default_rng(4))
    assert one.shape == (192, 256, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, two)
    assert all(abs(item.x_um - 38_000.0) <= 128 * UM for item in objects)


def test_an_exposure_has_the_size_of_its_sensor() -> None:
    model = CameraModel(width_px=128, height_px=96, sensor_dust=0, hot_pixels=0)
    window = Window.around(38_000.0, 13_000.0, (128, 96), UM)
    slide = make_slide(SlideSettings(), 3)
    scene = slide.scene(window.x0_um, window.y0_um, window.width_px, window.height_px, UM)
    sensor = Sensor(model, 1, slide.illumination)
    frame = expose(prepare(scene, FLAT), 0.0, sensor, np.random.default_rng(0))
    assert frame.shape == (96, 128)
    assert frame.dtype == np.uint8
