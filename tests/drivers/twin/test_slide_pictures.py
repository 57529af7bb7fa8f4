"""Real pictures as a slide, tried on pictures made up here."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from drivers.twin.slide import NoPictures, PictureSettings, Scene, Slide, SlideSettings
from drivers.twin.slide import make_slide as make
from drivers.twin.slide.pictures import PicturesPart, background, optical_density
from drivers.twin.surface import SurfaceSettings

ROWS, COLS, SCALE = 90, 120, 0.5
FEATHER = 5.0


def picture(number: int, tint: tuple[int, int, int]) -> np.ndarray:
    """A tinted, shaded background with `number` dark squares of 10 px in a row."""
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLS * 1j]
    shading = 1.0 - 0.15 * (0.5 * x + 0.3 * y**2)
    pixels = np.asarray(tint)[None, None, :] * shading[:, :, None]
    for k in range(number):
        pixels[40:50, 15 + 20 * k : 25 + 20 * k] *= 0.4
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tints = [(180, 183, 144), (220, 200, 180), (150, 153, 115), (200, 190, 150)]
    for k, tint in enumerate(tints):
        cv2.imwrite(str(tmp_path / f"{k + 1}.png"), picture(k + 1, tint)[:, :, ::-1])
    return tmp_path


def slide(folder: Path, seed: int = 1) -> Slide:
    settings = SlideSettings(
        content="pictures",
        pictures=PictureSettings(folder=folder, um_per_px=SCALE, feather_um=FEATHER),
        clutter={"dust_per_mm2": 0, "back_dust_per_mm2": 0, "bubbles_per_cm2": 0, "ink_marks_per_cm2": 0},
    )
    return make(settings, seed)


def mosaic(made: Slide, scale: float = SCALE, margin_um: float = 40.0) -> Scene:
    area = made.specimen
    width, height = (round((size + 2 * margin_um) / scale) for size in (area.width_um, area.height_um))
    return made.scene(area.x_um - margin_um, area.y_um - margin_um, width, height, scale)


def squares(scene: Scene) -> int:
    strong = (scene.total_od()[:, :, 1] > 0.25).astype(np.uint8)
    return cv2.connectedComponents(strong)[0] - 1


def test_every_picture_is_used_once_and_keeps_its_content(folder: Path) -> None:
    assert squares(mosaic(slide(folder))) == 1 + 2 + 3 + 4


def test_the_mosaic_is_centred_and_blank_around(folder: Path) -> None:
    made = slide(folder)
    area = made.specimen
    assert area.x_um + area.width_um / 2.0 == pytest.approx(38_000.0)
    assert area.y_um + area.height_um / 2.0 == pytest.approx(13_000.0)
    assert not made.scene(30_000.0, 5_000.0, 200, 100, SCALE).layers
    assert np.abs(mosaic(made).total_od()[:60]).max() == 0.0


def test_backgrounds_become_one_and_joins_are_soft(folder: Path) -> None:
    total = mosaic(slide(folder)).total_od()
    assert np.median(np.abs(total)) < 0.02
    clear = np.where(total > 0.1, np.nan, total)
    steps = np.nanmax(np.abs(np.diff(clear, axis=1)))
    assert steps < 0.05


def test_density_of_content_is_measured_against_its_own_background() -> None:
    od = optical_density(picture(3, (200, 190, 150)))
    assert np.median(od[43:47, 17:23]) == pytest.approx(-np.log10(0.4), abs=0.03)
    assert np.abs(np.median(od[:30])) < 0.01


def test_background_follows_shading_but_not_content() -> None:
    shaded = picture(0, (200, 190, 150))
    assert np.abs(background(picture(4, (200, 190, 150))) - shaded).max() < 8.0


def test_order_depends_on_the_seed_only(folder: Path) -> None:
    first = mosaic(slide(folder, 1)).total_od()
    assert np.array_equal(first, mosaic(slide(folder, 1)).total_od())
    assert any(np.abs(first - mosaic(slide(folder, seed)).total_od()).max() > 0.2 for seed in (2, 3, 4))


def test_overlapping_scenes_agree(folder: Path) -> None:
    made = slide(folder)
    whole = mosaic(made, 0.7)
    part = made.scene(whole.x0_um + 60 * 0.7, whole.y0_um + 70 * 0.7, 80, 60, 0.7)
    assert np.abs(whole.total_od()[70:130, 60:140] - part.total_od()).max() < 1e-4


def test_pictures_shrink_by_averaging(folder: Path) -> None:
    made = slide(folder)
    fine, coarse = mosaic(made).total_od(), mosaic(made, 2 * SCALE).total_od()
    assert coarse.sum() * 4.0 == pytest.approx(fine.sum(), rel=0.06)


def test_pictures_lie_on_their_own_height_map(folder: Path) -> None:
    rough = SurfaceSettings(topography_rms_um=3.0, topography_length_um=60.0)
    settings = SlideSettings(
        content="pictures", surface=rough, pictures=PictureSettings(folder=folder, um_per_px=SCALE)
    )
    assert len({layer.z_um for layer in mosaic(make(settings, 1)).layers}) > 4


def test_a_truth_of_pictures_is_not_claimed(folder: Path) -> None:
    assert mosaic(slide(folder)).objects == []


def test_unreadable_pictures_are_named_and_skipped(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no picture at all")
    with caplog.at_level(logging.WARNING):
        made = slide(folder)
    assert "2 of 6" in caplog.text
    assert "broken.jpg" in caplog.text
    assert "empty.png" in caplog.text
    assert squares(mosaic(made)) == 10


def test_no_folder_and_no_pictures_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(NoPictures, match="no folder"):
        slide(tmp_path / "nowhere")
    with pytest.raises(NoPictures, match="0 files"):
        slide(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"x")
    with pytest.raises(NoPictures, match="1 files"):
        slide(tmp_path)


def test_a_picture_that_vanishes_is_a_clear_error(folder: Path) -> None:
    part = PicturesPart(folder, SCALE, FEATHER, (38_000.0, 13_000.0), 1)
    assert part.skipped == []
    made = slide(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(NoPictures, match="can no longer be read"):
        mosaic(made)


def test_real_smears_can_be_laid_out(real_data: Path) -> None:
    settings = SlideSettings(
        content="pictures", pictures=PictureSettings(folder=real_data / "zn_sputum_fields", um_per_px=0.088)
    )
    made = make(settings, 1)
    area = made.specimen
    scene = made.scene(area.x_um + 200.0, area.y_um + 150.0, 600, 400, 0.1465)
    assert abs(float(np.median(scene.total_od()))) < 0.05
    assert scene.total_od().max() > 0.2
