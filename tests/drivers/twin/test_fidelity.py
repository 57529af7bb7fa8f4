"""The twin against physics and against measured focus curves of real stacks."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from drivers.camera.colour import demosaic
from drivers.twin.field_builder import build_field
from drivers.twin.imaging import Pose, absorbed, expose, prepare
from drivers.twin.optics import Optics, depth_of_field_um
from drivers.twin.sensor import Sensor
from drivers.twin.settings import CameraModel, load_settings
from drivers.twin.slide import Layer, Scene, make_slide

UM = 0.293


def _rods(rows: int, cols: int, width_um: float, seed: int) -> np.ndarray:
    """Optical density of thin straight rods, 2.75 µm long, painted four times finer than the camera's pixels."""
    rng = np.random.default_rng(seed)
    fine = np.zeros((4 * rows, 4 * cols), np.float32)
    half = 2.75 / UM * 2
    for _ in range(rows * cols // 700):
        x, y, angle = rng.uniform(0, 4 * cols), rng.uniform(0, 4 * rows), rng.uniform(0, np.pi)
        step = np.array([half * np.cos(angle), half * np.sin(angle)])
        start, end = (np.array([x, y]) - step).astype(int), (np.array([x, y]) + step).astype(int)
        cv2.line(fine, start.tolist(), end.tolist(), 0.5, round(4 * width_um / UM))
    small = cv2.resize(fine, (cols, rows), interpolation=cv2.INTER_AREA)
    return np.repeat(small[:, :, None], 3, axis=2)


def _tenengrad(plane: np.ndarray) -> float:
    plane = plane.astype(np.float32)
    return float((cv2.Sobel(plane, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(plane, cv2.CV_32F, 0, 1) ** 2).mean())


def _crossing(curve: np.ndarray, level: float) -> tuple[float, float] | None:
    """Where a min-max normalised curve falls below `level` left and right of its maximum, in samples."""
    peak = int(curve.argmax())
    left, right = peak, peak
    while left >= 0 and curve[left] > level:
        left -= 1
    while right < len(curve) and curve[right] > level:
        right += 1
    if left < 0 or right == len(curve):
        return None
    first = left + (level - curve[left]) / (curve[left + 1] - curve[left])
    last = right - 1 + (curve[right - 1] - level) / (curve[right - 1] - curve[right])
    return first, last


def _normalised(curve: np.ndarray) -> np.ndarray:
    return (curve - curve.min()) / (curve.max() - curve.min())


@pytest.mark.parametrize(("na", "measured_um"), [(0.40, 4.8), (0.50, 3.25), (0.75, 1.75)])
def test_focus_curve_width_follows_the_depth_of_field(na: float, measured_um: float) -> None:
    """Full-lattice green Tenengrad of rods of 1 µm apparent width; the widths are those measured on real content."""
    rows, cols = 240, 320
    optics = Optics(na=na, um_per_px=UM)
    scene = Scene(UM, 0.0, 0.0, cols, rows, [Layer(0.0, _rods(rows, cols, 1.0, seed=1))])
    prepared = prepare(scene, optics)
    dof_um = depth_of_field_um(na, UM)
    heights = np.arange(-4 * dof_um, 4 * dof_um, dof_um / 10)
    curve = []
    for z in heights:
        red, upper, lower, blue = absorbed(prepared, Pose.still(*prepared.centre_um, z), cols - 8, rows - 8)
        # The green lattice without gaps: the camera displaced by one row fills them.
        x, y = prepared.centre_um
        _, upper2, lower2, _ = absorbed(prepared, Pose.still(x, y + UM, z), cols - 8, rows - 8)
        full = np.empty((rows - 8, cols - 8), np.float32)
        full[0::2, 1::2], full[1::2, 0::2] = upper, lower
        full[1::2, 1::2], full[2::2, 0::2] = upper2, lower2[:-1]
        curve.append(_tenengrad(full[1:, 1:][8:-8, 8:-8]))
        del red, blue
    first, last = _crossing(_normalised(np.array(curve)), 0.5)
    width_um = (last - first) * (heights[1] - heights[0])
    assert width_um == pytest.approx(measured_um, rel=0.08)
    assert 1.12 <= width_um / dof_um <= 1.30


def test_a_flat_field_has_the_vignetting_and_the_noise_of_the_settings() -> None:
    """A whole exposure of a clear slide: shading by the settings, and noise whose variance is linear in the signal."""
    settings = load_settings(None, ["slide.content=empty", "camera.sensor_dust=0", "camera.hot_pixels=0"])
    camera = settings.camera
    scene = Scene(UM, 0.0, 0.0, 2000, 1280, [Layer(0.0, np.zeros((1280, 2000, 3), np.float32))])
    prepared = prepare(scene, Optics.of(settings.optics))
    sensor = Sensor(camera, 1)
    rng = np.random.default_rng(3)
    planes = absorbed(prepared, Pose.still(*prepared.centre_um, 0.0), camera.width_px, camera.height_px)
    one, two = (sensor.read(planes.copy(), 5.0, 0.0, 1.0, rng)[0::2, 1::2].astype(float) for _ in range(2))
    mean, difference = (one + two) / 2 - camera.black_level, one - two
    y, x = (np.arange(n) - (n - 1) / 2 for n in mean.shape)
    radius = np.sqrt((y[:, None] ** 2 + x[None, :] ** 2) / (y[-1] ** 2 + x[-1] ** 2))
    shading = np.polyfit((radius**2).ravel(), mean.ravel(), 1)
    assert -shading[0] / shading[1] == pytest.approx(camera.vignetting, abs=0.004)
    electrons = camera.full_well_electrons / 255
    expected = mean.mean() / electrons + (camera.read_noise_electrons / electrons) ** 2
    assert difference.var() / 2 - 1 / 12 == pytest.approx(expected, rel=0.03)


def _shape(curves: np.ndarray) -> dict[str, float]:
    """What makes focus curves alike whatever their step: all numbers are ratios to a curve's own width.

    false: share of curves with a second maximum of 5 % prominence. foot, top: width at a quarter, and at three
    quarters, over the width at half. skew: median of |right half − left half| over the width at half.
    """
    false, foot, top, skew = 0, [], [], []
    for curve in curves:
        false += _has_second_maximum(curve, 0.05)
        half, quarter, three = (_crossing(curve, level) for level in (0.5, 0.25, 0.75))
        peak = int(curve.argmax())
        if half is None or quarter is None or three is None or not 0 < peak < len(curve) - 1:
            continue
        width = half[1] - half[0]
        below, at, above = curve[peak - 1 : peak + 2]
        centre = peak + 0.5 * (below - above) / (below - 2 * at + above)
        foot.append((quarter[1] - quarter[0]) / width)
        top.append((three[1] - three[0]) / width)
        skew.append(abs(half[1] + half[0] - 2 * centre) / width)
    return {
        "false": false / len(curves),
        "foot": float(np.median(foot)),
        "top": float(np.median(top)),
        "skew": float(np.median(skew)),
    }


def _has_second_maximum(curve: np.ndarray, prominence: float) -> bool:
    peak = int(curve.argmax())
    padded = np.concatenate([[-1.0], curve, [-1.0]])
    for index in range(len(curve)):
        if index != peak and padded[index] < curve[index] > padded[index + 2]:
            valley = curve[min(index, peak) : max(index, peak) + 1].min()
            if curve[index] - valley > prominence:
                return True
    return False


def _real_curves(folder: Path) -> np.ndarray:
    # The files hold numbers as Python objects, which numpy stores by pickling.
    curves = np.load(folder / "tenengrad.npy", allow_pickle=True).astype(float)
    return curves[:: max(1, len(curves) // 1500)]


def _twin_curves(assignments: list[str], step_um: float, fields: int) -> np.ndarray:
    """Curves of 14 planes over fields of a twin slide, from whole exposures, noise included."""
    settings = load_settings(None, ["camera.width_px=320", "camera.height_px=240", "seed=2", *assignments])
    slide = make_slide(settings.slide, settings.seed)
    sensor = Sensor(CameraModel(width_px=320, height_px=240), 1, slide.illumination)
    rng = np.random.default_rng(4)
    area = slide.specimen
    curves = []
    while len(curves) < fields:
        place = (
            area.x_um + area.width_um * float(rng.uniform(0.25, 0.75)),
            area.y_um + area.height_um * float(rng.uniform(0.25, 0.75)),
        )
        field = build_field(slide, settings, place)
        if field.truth.over_noise(200.0, 1.6) < 0.3:
            continue
        start = field.truth.defocus_um + step_um * float(rng.uniform(-7.5, -5.5))
        frames = [expose(field.prepared, start + k * step_um, sensor, rng) for k in range(14)]
        curves.append(_normalised(np.array([_tenengrad(frame[0::2, 1::2]) for frame in frames])))
    return np.array(curves)


@pytest.mark.parametrize(
    ("assignments", "step_um"),
    [(["slide.content=serous"], 2.0), (["slide.content=sputum", "optics.magnification=900"], 1.0)],
    ids=["serous", "sputum"],
)
def test_focus_curves_look_like_those_of_real_stacks(real_data: Path, assignments: list[str], step_um: float) -> None:
    """Widths at the foot and the top, skew and false maxima stay near the span of three real sets.

    The twin's lens has no spherical aberration, so its curves may be more even than real ones, but not less.
    """
    sets = [_shape(_real_curves(real_data / "focus_curves" / name)) for name in ("WBC", "BMA", "TBF")]
    ours = _shape(_twin_curves(assignments, step_um, 16))
    for name in ("foot", "top"):
        values = [each[name] for each in sets]
        assert 0.9 * min(values) <= ours[name] <= 1.1 * max(values), (name, ours, sets)
    for name in ("false", "skew"):
        assert ours[name] <= max(each[name] for each in sets), (name, ours, sets)


def test_pictures_of_a_clear_slide_have_the_tint_of_lamp_and_slide() -> None:
    settings = load_settings(None, ["slide.content=empty", "camera.width_px=320", "camera.height_px=240"])
    slide = make_slide(settings.slide, 1)
    field = build_field(slide, settings, (38_000.0, 13_000.0))
    sensor = Sensor(settings.camera, 1, slide.illumination)
    picture = demosaic(expose(field.prepared, 0.0, sensor, np.random.default_rng(0)))
    tint = np.median(picture.reshape(-1, 3), axis=0)
    expected = np.array(slide.illumination) * np.array(settings.camera.colour_cast)
    assert tint / tint.max() == pytest.approx(expected / expected.max(), abs=0.03)
