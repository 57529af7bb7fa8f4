"""Fields prepared in another process, and the guess where the stage goes next."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.twin import field_builder
from drivers.twin.field_builder import BuilderStopped, BuiltField, FieldBuilder, build_field
from drivers.twin.focus_truth import FocusTruth, focus_truth
from drivers.twin.imaging import Pose, Prepared, absorbed
from drivers.twin.lookahead import Lookahead, next_places
from drivers.twin.mechanics import Mechanics
from drivers.twin.settings import TwinSettings, load_settings
from drivers.twin.slide import Slide, SpecimenArea, make_slide
from drivers.twin.truth import Exposed, TruthFile, is_blank

SETTINGS = load_settings(
    None, ["camera.width_px=320", "camera.height_px=240", "builder.memory_mb=200", "slide.content=serous", "seed=2"]
)
AREA = SpecimenArea(35_000.0, 10_000.0, 6_000.0, 6_000.0)
HERE = (37_500.0, 12_500.0)


@pytest.fixture
def builder() -> Iterator[FieldBuilder]:
    made = FieldBuilder(SETTINGS)
    yield made
    made.close()
    made.close()


def _built_within(builder: FieldBuilder, place: tuple[float, float], seconds: float) -> float:
    """Seconds until the field was ready; waits without asking for it."""
    begun = time.monotonic()
    while builder.is_ready(*place) is False:
        assert time.monotonic() < begun + seconds
        time.sleep(0.01)
    return time.monotonic() - begun


def test_a_field_from_the_other_process_is_the_same_field(builder: FieldBuilder) -> None:
    theirs = builder.field(*HERE)
    ours = build_field(make_slide(SETTINGS.slide, SETTINGS.seed), SETTINGS, HERE)
    assert theirs.truth == ours.truth
    assert theirs.surface_um == ours.surface_um
    assert len(theirs.prepared.objects) > 3
    assert theirs.prepared.objects == ours.prepared.objects
    pose = Pose.still(*HERE, 0.7)
    assert np.array_equal(absorbed(theirs.prepared, pose, 320, 240), absorbed(ours.prepared, pose, 320, 240))


def test_stage_errors_of_a_few_micrometres_reuse_the_field(builder: FieldBuilder) -> None:
    field = builder.field(*HERE)
    assert builder.field(HERE[0] + 4.0, HERE[1] - 4.0) is field
    assert builder.field(HERE[0] + 40.0, HERE[1]) is not field


def test_wishes_are_built_without_being_asked_for(builder: FieldBuilder) -> None:
    places = [(HERE[0] + 94.0 * k, HERE[1]) for k in range(3)]
    builder.wish(places)
    for place in places:
        _built_within(builder, place, 10.0)
    waited: list[int] = []
    builder.field(*places[2], waiting=lambda: waited.append(1))
    assert not waited


def test_the_field_in_use_outlives_all_wishes(builder: FieldBuilder) -> None:
    held = builder.field(*HERE)
    before = absorbed(held.prepared, Pose.still(*HERE, 1.0), 320, 240)
    for row in range(3):
        places = [(HERE[0] + 94.0 * k, HERE[1] + 80.0 * (row + 1)) for k in range(3)]
        builder.wish(places)
        for place in places:
            _built_within(builder, place, 10.0)
    assert np.array_equal(absorbed(held.prepared, Pose.still(*HERE, 1.0), 320, 240), before)


def test_what_is_needed_now_comes_before_wishes(builder: FieldBuilder) -> None:
    wishes = [(HERE[0] + 94.0 * k, HERE[1] + 300.0) for k in range(3)]
    builder.wish(wishes)
    builder.field(*HERE)
    assert not builder.is_ready(*wishes[2])


def test_a_dead_process_is_said(builder: FieldBuilder) -> None:
    builder.field(*HERE)
    builder.close()
    with pytest.raises(BuilderStopped):
        builder.field(HERE[0] + 1000.0, HERE[1])


def test_a_field_too_large_for_its_memory_is_drawn_with_fewer_layers() -> None:
    slide = make_slide(SETTINGS.slide, SETTINGS.seed)
    full = build_field(slide, SETTINGS, HERE)
    store = np.zeros(round(0.7 * len(full.prepared.store)), np.complex64)
    coarse = build_field(slide, SETTINGS, HERE, store)
    assert len(coarse.prepared.blocks[0].heights_um) < len(full.prepared.blocks[0].heights_um)
    assert coarse.truth.defocus_um == pytest.approx(full.truth.defocus_um, abs=0.5)


def test_a_row_goes_on_and_turns_at_the_edge_of_the_specimen() -> None:
    row = [(39_000.0, 11_000.0), (39_500.0, 11_000.0), (40_000.0, 11_000.0)]
    assert next_places(row, AREA, 2) == [(40_500.0, 11_000.0), (41_000.0, 11_000.0)]
    at_the_edge = [(40_500.0, 10_700.0), (40_500.0, 11_000.0), (40_800.0, 11_000.0), (41_100.0, 11_000.0)]
    assert next_places(at_the_edge, AREA, 2) == [(41_100.0, 11_300.0), (40_800.0, 11_300.0)]


def test_after_a_turn_the_row_runs_back() -> None:
    turned = [(40_000.0, 11_000.0), (40_500.0, 11_000.0), (41_000.0, 11_000.0), (41_000.0, 11_340.0)]
    assert next_places(turned, AREA, 3) == [(40_500.0, 11_340.0), (40_000.0, 11_340.0), (39_500.0, 11_340.0)]


def test_nothing_is_guessed_from_too_little() -> None:
    assert next_places([(40_000.0, 11_000.0)], AREA, 2) == []
    assert next_places([(40_000.0, 11_000.0), (40_000.0, 11_300.0)], AREA, 2) == []
    first_row = [(40_500.0, 11_000.0), (41_000.0, 11_000.0)]
    assert next_places(first_row, AREA, 2) == []


def test_the_field_approached_is_ready_on_arrival_and_the_next_soon_after(builder: FieldBuilder) -> None:
    now = [0.0]
    mechanics = Mechanics(SETTINGS.mechanics, lambda: now[0])
    mechanics.command_move("y", HERE[1])
    mechanics.command_move("x", HERE[0])
    now[0] = 100.0
    lookahead = Lookahead(mechanics, builder, AREA, 1)
    try:
        mechanics.command_move("x", HERE[0] + 94.0)
        now[0] = 200.0
        x, y, _ = mechanics.true_position(200.0)
        _built_within(builder, (x, y), 10.0)
        _built_within(builder, (x + 94.0, y), 10.0)
    finally:
        lookahead.close()


def _field(*assignments: str) -> tuple[BuiltField, TwinSettings]:
    """A field near the middle of a slide of small frames."""
    settings = load_settings(None, ["camera.width_px=320", "camera.height_px=240", *assignments])
    return build_field(make_slide(settings.slide, settings.seed), settings, HERE), settings


def test_a_field_with_cells_is_not_blank() -> None:
    field, settings = _field("slide.content=serous", "seed=2")
    assert not is_blank(field, settings.camera)


@pytest.mark.parametrize(
    "dirt",
    [
        ["slide.content=empty", "slide.clutter.dust_per_mm2=200"],
        ["slide.content=empty", "slide.clutter.bubbles_per_cm2=500", "seed=3"],
        ["slide.content=ink"],
    ],
    ids=["dust", "bubble", "ink"],
)
def test_a_field_of_dirt_alone_is_blank_whatever_detail_it_has(dirt: list[str]) -> None:
    field, settings = _field("slide.clutter.dust_per_mm2=0", *dirt)
    camera = settings.camera
    everything = focus_truth(field.prepared, camera.width_px, camera.height_px)
    assert not is_blank(replace(field, truth=everything), camera)
    assert is_blank(field, camera)


def test_best_focus_is_that_of_the_specimen_however_much_dust_lies_on_it() -> None:
    chosen = ["slide.content=serous", "seed=2"]
    clean, settings = _field(*chosen, "slide.clutter.dust_per_mm2=0")
    dusty, _ = _field(*chosen, "slide.clutter.dust_per_mm2=200")
    camera = settings.camera
    drawn_to_dust = focus_truth(dusty.prepared, camera.width_px, camera.height_px)
    assert abs(drawn_to_dust.defocus_um - clean.truth.defocus_um) > 0.15
    assert dusty.truth.defocus_um == pytest.approx(clean.truth.defocus_um, abs=0.05)
    assert 0.7 * clean.truth.energy < dusty.truth.energy <= clean.truth.energy


@pytest.mark.parametrize(
    ("smaller", "frame", "larger", "at_edge"),
    [
        (0.0, 0.0, 1.0, True),
        (0.0, 1e-4, 1.0, True),
        (0.0, 0.0, 0.0, False),
        (1.0, 1e-4, 1.0, False),
        (0.0, 9.0, 9.0, False),
    ],
)
def test_a_frame_with_something_at_its_edge_alone_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, smaller: float, frame: float, larger: float, at_edge: bool
) -> None:
    camera = SETTINGS.camera

    def truth(_slide: Slide, _prepared: Prepared, width_px: int, height_px: int, _pitch_um: float) -> FocusTruth:
        assert width_px - camera.width_px == height_px - camera.height_px
        by = width_px - camera.width_px
        assert abs(by * SETTINGS.optics.scale_um) == pytest.approx(16.0 if by else 0.0, abs=0.7)
        return FocusTruth(0.0, frame if by == 0 else smaller if by < 0 else larger)

    monkeypatch.setattr(field_builder, "specimen_truth", truth)
    assert build_field(make_slide(SETTINGS.slide, SETTINGS.seed), SETTINGS, HERE).at_edge == at_edge


def test_what_ink_covers_is_not_seen() -> None:
    chosen = ["slide.content=serous", "seed=8"]
    clean, settings = _field(*chosen, "slide.clutter.ink_marks_per_cm2=0")
    inked, _ = _field(*chosen, "slide.clutter.ink_marks_per_cm2=500")
    assert not is_blank(clean, settings.camera)
    assert inked.truth.energy < 0.5 * clean.truth.energy


def test_truth_has_the_settings_and_counts_what_is_inside_the_frame(tmp_path: Path) -> None:
    slide = make_slide(SETTINGS.slide, SETTINGS.seed)
    field = build_field(slide, SETTINGS, HERE)
    record = TruthFile(tmp_path / "truth.jsonl", SETTINGS, slide)
    record.exposure(Exposed(1, 123, *HERE, 3001.25), field)
    record.close()
    header, line = (json.loads(text) for text in (tmp_path / "truth.jsonl").read_text().splitlines())
    assert header["slide"] == SETTINGS.slide.model_dump(mode="json")
    assert line["z_um"] == 3001.25
    assert line["best_focus_z_um"] == pytest.approx(3000.0 + field.surface_um + field.truth.defocus_um, abs=1e-3)
    half_x, half_y = 160 * 0.293, 120 * 0.293
    inside = [o for o in field.prepared.objects if abs(o.x_um - HERE[0]) <= half_x and abs(o.y_um - HERE[1]) <= half_y]
    assert line["n_objects"] == len(inside) == sum(line["kinds"].values())
