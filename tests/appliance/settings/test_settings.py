"""Every mistake in a settings file is named with its line, its key and its remedy."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import hypothesis
import pydantic
import pytest
import yaml
from hypothesis import strategies as st

from appliance.errors import SettingsError
from appliance.settings import EXAMPLE, Settings, load_settings, settings_sha256


def problem(tmp_path: Path, text: str, *overrides: str) -> str:
    """The one problem found in a file; fails when there are several or none."""
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, overrides)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


def test_the_example_says_what_the_defaults_are() -> None:
    assert load_settings(EXAMPLE) == load_settings()


def test_the_example_names_every_key() -> None:
    """A field engineer finds each key in the example, if only as a comment."""
    text = EXAMPLE.read_text(encoding="utf-8")

    def keys(model: pydantic.BaseModel) -> set[str]:
        found = set()
        for name in type(model).model_fields:
            found.add(name)
            value = getattr(model, name)
            if isinstance(value, pydantic.BaseModel):
                found |= keys(value)
        return found

    missing = sorted(key for key in keys(load_settings()) if f"{key}:" not in text)
    assert missing == []


def test_commented_lines_of_the_example_are_valid_too(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace("engines: {}", "engines:")
    lines = [" " + line[1:] if line.startswith("#") else line for line in text.split("site: ")[1].splitlines()[1:]]
    path = tmp_path / "all.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    settings = load_settings(path)
    assert settings.uplink.tls is not None
    assert settings.scan.region is not None
    assert settings.engines.afb is not None


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert load_settings(path) == Settings()


def test_misspelt_key_names_file_line_and_nearest_key(tmp_path: Path) -> None:
    said = problem(tmp_path, "site: lab\nfocus:\n  search_um: 50\n  max_exposure: 5\n")
    assert "site.yaml, line 4" in said
    assert '"max_exposure" in focus' in said
    assert "did you mean max_exposures?" in said


def test_misspelt_section(tmp_path: Path) -> None:
    said = problem(tmp_path, "site: lab\n\ncammera: {exposure_ms: 4}\n")
    assert "line 3" in said
    assert "did you mean camera?" in said


def test_unknown_key_without_neighbour_lists_what_is_known(tmp_path: Path) -> None:
    said = problem(tmp_path, "report: {zzz: 1}\n")
    assert "known here: directory" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("camera: {exposure_s: 0.004}", "did you mean exposure_ms? The unit is part of the key (ms): 0.004 s"),
        ("camera: {exposure_s: 0.004}", "is written exposure_ms: 4."),
        ("focus: {search_mm: 0.06}", "0.06 mm is written search_um: 60."),
        ("camera: {exposure: 4}", "did you mean exposure_ms? The unit is part of the key (ms)."),
        ("journal: {min_free_gb: 1}", "1 gb is written min_free_mb: 1000."),
        ("scan: {exposure_s: 1}", "did you mean camera.exposure_ms?"),
    ],
)
def test_wrong_unit_in_the_key(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in problem(tmp_path, text)


def test_key_in_the_wrong_section(tmp_path: Path) -> None:
    assert "did you mean camera.gain_db?" in problem(tmp_path, "optics: {gain_db: 3}")


def test_unit_written_into_the_value(tmp_path: Path) -> None:
    said = problem(tmp_path, "camera:\n  exposure_ms: 4 ms\n")
    assert "line 2" in said
    assert "Write the number alone: the unit (ms) is part of the key." in said


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("uplink:\n  port: eighty\n", 2, "uplink.port"),
        ("uplink:\n  port: 99999\n", 2, "uplink.port"),
        ("uplink:\n  enabled: yes\n", 2, "uplink.enabled"),
        ('camera:\n  exposure_ms: "4"\n', 2, "camera.exposure_ms"),
        ("camera:\n  exposure_ms: true\n", 2, "camera.exposure_ms"),
        ("camera:\n  exposure_ms: .inf\n", 2, "camera.exposure_ms"),
        ("camera:\n  exposure_ms: -4\n", 2, "camera.exposure_ms"),
        ("camera:\n  kind: webcam\n", 2, "camera.kind"),
        ("optics:\n\n  magnification: 400\n", 3, "optics.magnification"),
        ("optics:\n  magnification: [450]\n", 2, "optics.magnification"),
        ("camera: 3\n", 1, "camera"),
        ("camera: [1, 2]\n", 1, "camera"),
        ("site: Ward 7/east\n", 1, "site"),
        ("scan:\n  region: {x_um: 1, y_um: 2, width_um: 3}\n", 2, "scan.region.height_um"),
        ("stage:\n  x: {device: 1, axis: 1, sign: 1, min_um: 0, max_um: 9, settle_ms: 1}\n", 2, "stage.x.um_per_step"),
    ],
)
def test_bad_value_names_line_and_key(tmp_path: Path, text: str, line: int, key: str) -> None:
    said = problem(tmp_path, text)
    assert f"site.yaml, line {line}: " in said
    assert key in said


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("focus:\n  reference_z_um: 50\n", 2, "outside min_z_um to max_z_um"),
        ("focus:\n  max_z_um: 9000\n  reference_z_um: 8000\n", 1, "outside the z axis"),
        ("stage:\n  retract_z_um: 5000\n", 1, "retract_z_um <= safe_z_um"),
        ("camera:\n  kind: replay\n", 1, "needs the folder"),
        ("uplink:\n  password_file: /x\n", 2, "needs a username"),
        ("uplink:\n  tls: {ca_file: a, cert_file: b}\n", 2, "belong together"),
    ],
)
def test_values_that_contradict_each_other(tmp_path: Path, text: str, line: int, words: str) -> None:
    said = problem(tmp_path, text)
    assert f"line {line}: " in said
    assert words in said


def test_several_mistakes_are_all_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("uplink: {prt: 1}\ncamera: {exposure_ms: x}\nsite: 3\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert [f"line {n}:" in said for n, said in enumerate(caught.value.problems, 1)] == [True] * 3


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    assert "site.yaml, line 2: this is not valid YAML" in problem(tmp_path, "camera: {\nfocus: ]\n")
    assert "line 2" in problem(tmp_path, "site: lab\n\tdevice: x\n")


def test_key_given_twice(tmp_path: Path) -> None:
    said = problem(tmp_path, "site: a\ndevice: b\nsite: c\n")
    assert "line 3" in said
    assert "first on line 1" in said


def test_top_level_that_is_no_mapping(tmp_path: Path) -> None:
    assert "sections with keys" in problem(tmp_path, "- a\n- b\n")
    assert "sections with keys" in problem(tmp_path, "just words\n")


def test_an_alias_to_itself_is_refused(tmp_path: Path) -> None:
    assert "alias refers to itself" in problem(tmp_path, "camera: &a\n  kind: *a\n")


def test_code_in_yaml_is_refused(tmp_path: Path) -> None:
    assert "has no place" in problem(tmp_path, "site: !!python/object/apply:os.getcwd []\n")


def test_missing_and_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        load_settings(tmp_path / "absent.yaml")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path)
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "picture.yaml")


def test_scalars_are_plain_yaml(tmp_path: Path) -> None:
    """`no` is text and not false; 1e3 is a number."""
    path = tmp_path / "site.yaml"
    path.write_text("site: no\njournal: {min_free_mb: 1e3}\ndevice: off\n", encoding="utf-8")
    settings = load_settings(path)
    assert (settings.site, settings.device, settings.journal.min_free_mb) == ("no", "off", 1000.0)


def test_overrides_win_over_the_file_and_later_ones_over_earlier(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("focus: {search_um: 40, survey_points: 12}\n", encoding="utf-8")
    settings = load_settings(path, ["focus.search_um=50", "focus.search_um=45", "stage.port=/dev/ttyUSB3"])
    assert settings.focus.search_um == 45
    assert settings.focus.survey_points == 12
    assert settings.stage.port == "/dev/ttyUSB3"
    assert settings.stage.x == load_settings().stage.x


def test_a_mistaken_override_is_named_as_it_was_given(tmp_path: Path) -> None:
    said = problem(tmp_path, "site: lab\n", "focus.serch_um=50")
    assert said.startswith("--set focus.serch_um=50: ")
    assert "did you mean search_um?" in said
    assert problem(tmp_path, "site: lab\n", "uplink.port=x").startswith("--set uplink.port=x: ")


@pytest.mark.parametrize("override", ["focus.search_um", "=3", "focus..x=3", "site.name=x", "focus.search_um={"])
def test_an_override_that_is_none(override: str) -> None:
    with pytest.raises(SettingsError, match="--set"):
        load_settings(None, ["site=lab", override])


def test_optics_follow_the_magnification_unless_given() -> None:
    at_900 = load_settings(None, ["optics.magnification=900"]).optics
    assert (at_900.na, at_900.um_per_px) == (0.75, 0.1465)
    given = load_settings(None, ["optics.magnification=900", "optics.um_per_px=0.15"]).optics
    assert (given.na, given.um_per_px) == (0.75, 0.15)


@pytest.mark.parametrize(
    ("na", "um_per_px", "dof_um"),
    [(0.40, 0.293, 4.17), (0.45, 0.293, 3.37), (0.50, 0.293, 2.79), (0.75, 0.293, 1.37), (0.75, 0.1465, 1.17)],
)
def test_depth_of_field(na: float, um_per_px: float, dof_um: float) -> None:
    """Against the published figures for 20x and 40x objectives."""
    optics = load_settings(None, [f"optics.na={na}", f"optics.um_per_px={um_per_px}"]).optics
    assert optics.dof_um == pytest.approx(dof_um, abs=0.006)


def test_protocol_may_be_written_as_a_number() -> None:
    assert load_settings(None, ["uplink.protocol=5"]).uplink.protocol == "5"
    assert load_settings(None, ["uplink.protocol=3.1.1"]).uplink.protocol == "3.1.1"


def test_device_ids_by_number() -> None:
    assert load_settings(None, ["stage.expected_device_ids={1: 50081}"]).stage.expected_device_ids == {1: 50081}


def test_settings_are_frozen() -> None:
    settings = load_settings()
    with pytest.raises(pydantic.ValidationError):
        settings.site = "other"
    with pytest.raises(pydantic.ValidationError):
        settings.focus.search_um = 3


def test_hash_is_stable_and_sees_every_change() -> None:
    base = settings_sha256(load_settings())
    assert base == settings_sha256(load_settings(EXAMPLE))
    assert len(base) == 64
    for override in ("site=b", "stage.z.max_um=5990", "scan.keep_top=3", "uplink.tls={ca_file: a}"):
        parts = [override]
        if override.startswith("stage.z"):
            axis = load_settings().stage.z.model_dump()
            parts = [f"stage.z={yaml.safe_dump(axis, default_flow_style=True).strip()}", override]
        assert settings_sha256(load_settings(None, parts)) != base


def test_errors_say_what_is_safe_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "absent.yaml")
    error = caught.value
    assert error.safe == "Nothing was started."
    assert error.remedy
    assert not dataclasses.is_dataclass(error)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**7) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)
_SECTIONS = sorted(Settings.model_fields)
_KEYS = sorted(
    {
        key
        for info in Settings.model_fields.values()
        if isinstance(info.annotation, type) and issubclass(info.annotation, pydantic.BaseModel)
        for key in info.annotation.model_fields
    }
)


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(
    st.dictionaries(
        st.sampled_from(_SECTIONS),
        _VALUES | st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=3),
        max_size=3,
    )
)
def test_whatever_a_file_says_it_is_settings_or_a_settings_error(data: dict[str, object]) -> None:
    overrides = [f"{key}={json.dumps(value)}" for key, value in data.items()]
    problems: tuple[str, ...] = ()
    try:
        assert settings_sha256(load_settings(None, overrides))
    except SettingsError as error:
        problems = error.problems
    assert all(problem.startswith(("--set", "settings")) for problem in problems)
