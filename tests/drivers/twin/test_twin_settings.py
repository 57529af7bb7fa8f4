"""Settings of the twin: what is wrong is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.twin.settings import BadTwinSettings, TwinSettings, load_settings


def test_defaults_are_the_documented_twin() -> None:
    settings = load_settings()
    assert settings == TwinSettings()
    assert (settings.camera.width_px, settings.camera.height_px) == (1928, 1208)
    assert settings.optics.aperture == 0.5


def test_a_file_and_assignments_are_laid_over_each_other(tmp_path: Path) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text("seed: 7\noptics: {magnification: 900}\nslide: {content: sputum}\n")
    settings = load_settings(path, ["optics.na=0.65", "slide.sputum.afb_per_mm2=12.5", "faults.lamp_off=true"])
    assert settings.seed == 7
    assert settings.mechanics.seed == 7
    assert (settings.optics.aperture, settings.optics.scale_um) == (0.65, 0.1465)
    assert settings.slide.sputum.density_per_mm2 == 12.5
    assert settings.faults.lamp_off


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("optics.nna=0.5", "optics.nna: unknown key"),
        ("optic.na=0.5", "optic: unknown key"),
        ("optics.na=7", "optics.na: Input should be less than or equal to 0.95"),
        ("camera.slots=2", "camera.slots"),
        ("optics.magnification=600", "optics.magnification"),
        ("seed=many", "seed"),
        ("camera.width_px=321", "camera.width_px"),
        ("slide.content=mud", "slide.content"),
    ],
)
def test_what_is_wrong_is_named(assignment: str, named: str) -> None:
    with pytest.raises(BadTwinSettings) as caught:
        load_settings(None, [assignment])
    assert named in caught.value.what


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text("sed: 7\ncamera: {slot: 4}\n")
    with pytest.raises(BadTwinSettings) as caught:
        load_settings(path)
    assert all(part in caught.value.what for part in ("sed: unknown", "camera.slot: unknown", str(path)))


@pytest.mark.parametrize("text", ["- a\n- b\n", "seed: [1\n", "\x00"])
def test_a_file_that_is_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text(text)
    with pytest.raises(BadTwinSettings, match=r"twin\.yaml"):
        load_settings(path)
    with pytest.raises(BadTwinSettings, match="nothing"):
        load_settings(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("assignment", ["seed", "=4", "seed.deeper=1"])
def test_an_assignment_must_be_one(tmp_path: Path, assignment: str) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text("seed: 7\n")
    with pytest.raises(BadTwinSettings, match="--set"):
        load_settings(path, [assignment])


def test_harsh_doubles_errors_of_stage_and_surface_only() -> None:
    plain, harsh = load_settings(), load_settings(harsh=True)
    assert harsh.mechanics.z.backlash_um == 2 * plain.mechanics.z.backlash_um
    assert harsh.slide.surface.tilt_sigma_mrad == 2 * plain.slide.surface.tilt_sigma_mrad
    assert harsh.camera == plain.camera
    assert harsh.optics == plain.optics


@given(st.integers(0, 2**31), st.sampled_from([450, 900]), st.floats(0.1, 0.95))
def test_settings_survive_writing_and_reading(seed: int, magnification: int, na: float) -> None:
    settings = load_settings(None, [f"seed={seed}", f"optics.magnification={magnification}", f"optics.na={na!r}"])
    assert TwinSettings.model_validate(settings.model_dump(mode="json")) == settings
