"""Assays are data: the shipped ones are right, and a laboratory's own is checked as strictly as settings are."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.assays import AfbGrading, Assay, TisGrading, known_assays, load_assay
from appliance.errors import SettingsError

FIELD_450_UM = (1928 * 0.293, 1208 * 0.293)
FIELD_900_UM = (1928 * 0.1465, 1208 * 0.1465)


def afb() -> tuple[Assay, AfbGrading]:
    assay = load_assay("afb")
    assert isinstance(assay.grading, AfbGrading)
    return assay, assay.grading


def test_shipped_assays() -> None:
    assert known_assays() == ("afb", "serous")
    for name in known_assays():
        assert load_assay(name).name == name


@pytest.mark.parametrize("name", ["serus", "AFB", "tb", ""])
def test_unknown_assay_names_the_known_ones(name: str) -> None:
    with pytest.raises(SettingsError, match="Known assays: afb, serous"):
        load_assay(name)


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(SettingsError, match="Did you mean serous"):
        load_assay("serus")


def test_high_power_field_of_field_number_20() -> None:
    _, grading = afb()
    assert grading.high_power_field.area_mm2 == pytest.approx(0.0314, abs=5e-5)
    for number, area in ((18, 0.0254), (22, 0.0380)):
        field = grading.high_power_field.model_copy(update={"field_number_mm": float(number)})
        assert field.area_mm2 == pytest.approx(area, abs=5e-5)


def test_who_table_is_the_published_one() -> None:
    _, grading = afb()
    who = grading.tables[0]
    assert who.name.startswith("WHO/IUATLD")
    assert [(row.grade, row.bound_per_100_hpf, row.min_hpf) for row in who.rows] == [
        ("scanty", 0, 100),
        ("1+", 10, 100),
        ("2+", 100, 50),
        ("3+", 1000, 20),
    ]
    assert who.rows[2].begins_by(1000)  # 10 per field is still 2+
    assert not who.rows[3].begins_by(1000)


def test_cdc_table_stands_beside_it() -> None:
    _, grading = afb()
    cdc = grading.tables[1]
    assert [(row.grade, row.bound_per_100_hpf) for row in cdc.rows] == [("1+", 0), ("2+", 10), ("3+", 100), ("4+", 900)]


def test_only_a_certain_3_plus_ends_a_smear_early_and_nothing_ends_an_effusion() -> None:
    _, grading = afb()
    assert grading.stop_early is not None
    assert grading.stop_early.grade == grading.tables[0].rows[-1].grade == "3+"
    assert grading.stop_early.certainty == 0.999
    assert not hasattr(load_assay("serous").grading, "stop_early")


def test_area_to_read_in_fields() -> None:
    """300 high-power fields are 48 fields at 450x and 189 at 900x."""
    assay, _ = afb()
    assert assay.reading.fields_to_read(*FIELD_450_UM) == 48
    assert assay.reading.fields_to_read(*FIELD_900_UM) == 189
    assert load_assay("serous").reading.fields_to_read(*FIELD_450_UM) == 60


def test_tis_has_its_five_categories_with_the_published_risks() -> None:
    grading = load_assay("serous").grading
    assert isinstance(grading, TisGrading)
    assert {c.code: c.rom_percent for c in grading.categories} == {
        "ND": 17.4,
        "NFM": 20.7,
        "AUS": 65.9,
        "SFM": 81.8,
        "MAL": 98.9,
    }


def test_the_cellularity_threshold_is_marked_as_advisory_and_own_choice() -> None:
    assay = load_assay("serous")
    assert assay.adequacy.low_cellularity == 200
    text = (Path(__file__).parents[3] / "appliance" / "assays" / "serous.yaml").read_text(encoding="utf-8")
    assert "own choice" in text


def own(tmp_path: Path, name: str, old: str, new: str) -> Path:
    """A laboratory's copy of a shipped assay with one change."""
    text = (Path(__file__).parents[3] / "appliance" / "assays" / f"{name}.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "own.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_a_laboratory_may_bring_its_own(tmp_path: Path) -> None:
    path = own(tmp_path, "afb", "field_number_mm: 20", "field_number_mm: 22")
    grading = load_assay(path).grading
    assert isinstance(grading, AfbGrading)
    assert grading.high_power_field.area_mm2 == pytest.approx(0.0380, abs=5e-5)
    assert load_assay(str(path)) == load_assay(path)


def test_a_laboratory_may_read_every_plan_to_its_end(tmp_path: Path) -> None:
    shipped = (Path(__file__).parents[3] / "appliance" / "assays" / "afb.yaml").read_text(encoding="utf-8")
    rule = shipped[shipped.index("  stop_early:") : shipped.index("  tables:")]
    grading = load_assay(own(tmp_path, "afb", rule, "")).grading
    assert isinstance(grading, AfbGrading)
    assert grading.stop_early is None


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("afb", "negative_hpf: 100", "negative_hbf: 100", "did you mean negative_hpf"),
        ("afb", "from_per_100_hpf: 10,", "from_per_100_hpf: 2000,", "ascend"),
        ("afb", "from_per_100_hpf: 10,", "from_per_100_hpf: 10, above_per_100_hpf: 10,", "either"),
        ("afb", "scheme: afb", "scheme: abc", "grading"),
        ("afb", "targets: [afb]", "targets: []", "labels.targets"),
        ("afb", "magnifications: [900, 450]", "magnifications: [1000]", "magnifications"),
        (
            "afb",
            "grade: 3+\n",
            "grade: 2+\n",
            "only the highest grade of WHO/IUATLD bright field may end a reading: 3+",
        ),
        ("afb", "grade: 3+\n", "grade: negative\n", "stop_early.grade is negative"),
        ("afb", ", min_hpf: 20}", "}", "stop_early needs min_hpf in the row 3+"),
        ("afb", "certainty: 0.999", "certainty: 1", "certainty"),
        ("afb", "certainty: 0.999", "certainty: 0.5", "certainty"),
        ("afb", "rest_at_least: 0.5", "rest_at_least: 50", "rest_at_least"),
        ("afb", "rest_at_least: 0.5", "rest_atleast: 0.5", "did you mean rest_at_least"),
        ("serous", "significance: 0.01", "stop_early: {grade: MAL, certainty: 0.999}", "stop_early"),
        ("serous", "code: AUS", "code: ASC", "code"),
        ("serous", "max_od: 2.5", "max_od: 0.01", "must be below max_od"),
        ("serous", "low_cellularity: 200", "low_cellularity: many", "low_cellularity"),
    ],
)
def test_mistakes_in_an_own_assay_name_file_and_line(tmp_path: Path, name: str, old: str, new: str, words: str) -> None:
    path = own(tmp_path, name, old, new)
    with pytest.raises(SettingsError) as caught:
        load_assay(path)
    assert words in caught.value.what
    assert "own.yaml, line " in caught.value.what


def test_missing_assay_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load_assay(tmp_path / "own.yaml")


def test_only_serous_slides_are_read_in_a_second_plane_and_within_bounds() -> None:
    assert load_assay("afb").reading.second_plane is None
    rule = load_assay("serous").reading.second_plane
    assert rule is not None
    assert 0 < rule.max_share <= 0.25, "a wildly positive slide must not take twice the time"
    assert rule.above_um <= 10, "domain: balls stand 3 to 10 µm above the monolayer"
