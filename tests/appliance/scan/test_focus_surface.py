"""The surface: right on planes, unmoved by outliers, sure only near what it has seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.scan.focus.places import survey_places
from appliance.scan.focus.surface import FocusSurface, Observation
from drivers.twin.disturbances import Thermal
from drivers.twin.settings import load_settings

from .microscope import Microscope

GRID = [(float(x), float(y)) for y in range(0, 9_000, 1_500) for x in range(0, 20_000, 2_000)]


def plane(x_um: float, y_um: float) -> float:
    return 3010.0 + 8e-4 * x_um - 5e-4 * y_um


def observed(places: list[tuple[float, float]], noise_um: float = 0.1, seed: int = 0) -> list[Observation]:
    rng = np.random.default_rng(seed)
    return [Observation(x, y, plane(x, y) + float(rng.normal(0, noise_um)), 0.1) for x, y in places]


def surface(observations: list[Observation]) -> FocusSurface:
    made = FocusSurface(3000.0, 20.0)
    made.add(observations)
    return made


def test_knowing_nothing_it_says_the_reference() -> None:
    prediction = FocusSurface(3000.0, 20.0).predict(100, 200)
    assert (prediction.z_um, prediction.sigma_um) == (3000.0, 20.0)


def test_one_observation_lifts_it_and_tilt_stays_open() -> None:
    made = surface([Observation(0, 0, 3012.0, 0.2)])
    near, far = made.predict(0, 0), made.predict(10_000, 0)
    assert near.z_um == pytest.approx(3012.0, abs=0.5)
    assert near.sigma_um < 1.5
    assert far.sigma_um > 4.0


@settings(max_examples=30, deadline=None)
@given(slope_x=st.floats(-1.5e-3, 1.5e-3), slope_y=st.floats(-1.5e-3, 1.5e-3), height=st.floats(-40, 40))
def test_any_plane_is_learned_from_five_places(slope_x: float, slope_y: float, height: float) -> None:
    def true(x_um: float, y_um: float) -> float:
        return 3000 + height + slope_x * x_um + slope_y * y_um

    places = [group[0] for group in survey_places(GRID, 5)]
    made = surface([Observation(x, y, true(x, y), 0.1) for x, y in places])
    errors = [made.predict(x, y).z_um - true(x, y) for x, y in GRID]
    assert max(map(abs, errors)) < 0.8


def test_outliers_do_not_move_the_plane() -> None:
    good = observed(GRID)
    bad = [Observation(o.x_um, o.y_um, o.z_um + 25.0, 0.1) if i % 8 == 3 else o for i, o in enumerate(good)]
    made = surface(bad)
    off = [made.predict(x + 700, y + 500).z_um - plane(x + 700, y + 500) for x, y in GRID]
    assert float(np.abs(off).max()) < 1.0


def test_neighbours_share_their_deviation_from_the_plane() -> None:
    def wavy(x_um: float, y_um: float) -> float:
        return plane(x_um, y_um) + 2.0 * float(np.sin(x_um / 1500) * np.cos(y_um / 1500))

    dense = [(float(x), float(y)) for y in range(0, 6_000, 400) for x in range(0, 8_000, 400)]
    made = surface([Observation(x, y, wavy(x, y), 0.05) for x, y in dense])
    off = [made.predict(x + 200, y + 200).z_um - wavy(x + 200, y + 200) for x, y in dense]
    assert float(np.sqrt(np.mean(np.square(off)))) < 0.2


def test_drift_seen_in_one_row_is_expected_in_the_others() -> None:
    """A third of a µm a minute while the objective warms up: what was seen five minutes ago has moved, all alike."""
    rows = {y: [(float(x), float(y)) for x in range(0, 15_000, 500)] for y in (0, 500, 1_000)}
    made = FocusSurface(3000.0, 20.0)
    made.add([Observation(x, y, plane(x, y), 0.1, 0.0) for row in rows.values() for x, y in row])
    made.add([Observation(x, y, plane(x, y) + 1.5, 0.1, 300.0) for x, y in rows[0]])
    off = [made.predict(x, y, 300.0).z_um - plane(x, y) for x, y in rows[1_000]]
    assert off == pytest.approx([1.5] * len(off), abs=0.3)
    place = rows[1_000][3]
    assert made.predict(*place, 900.0).sigma_um > made.predict(*place, 300.0).sigma_um + 0.2


def test_what_lies_far_away_changes_nothing() -> None:
    """So that the ten thousandth field costs what the hundredth did."""
    rng = np.random.default_rng(5)
    near = [(float(x), float(y)) for y in range(0, 3_000, 200) for x in range(0, 3_000, 200)]
    far = [(float(x), float(y)) for x, y in rng.uniform((30_000, 0), (60_000, 20_000), (400, 2))]
    here, everywhere = FocusSurface(3000.0, 20.0), FocusSurface(3000.0, 20.0)
    everywhere.add(observed(far))
    for made in (here, everywhere):
        made.add(observed(near))
    assert everywhere.predict(1_500, 1_500).z_um == pytest.approx(here.predict(1_500, 1_500).z_um, abs=0.05)


def test_many_observations_one_by_one_are_the_same_as_all_at_once() -> None:
    """Past the room that the surface starts with, twice."""
    rng = np.random.default_rng(7)
    seen = [Observation(*rng.uniform(0, 20_000, 2), 3000 + rng.normal(0, 0.3), 0.2, float(i)) for i in range(600)]
    together, singly = FocusSurface(3000.0, 20.0), FocusSurface(3000.0, 20.0)
    together.add(seen)
    for one in seen:
        singly.add([one])
    assert singly._seen.tolist() == together._seen.tolist()
    assert len(singly._seen) == 600


@pytest.mark.parametrize(("magnification", "content"), [(450, "serous"), (900, "sputum")])
def test_sigma_is_honest_on_slides_of_the_twin(magnification: int, content: str) -> None:
    """Tilt, bow, waves, the smear's own relief, and warming up, in the order of a scan; one find in fifty is wrong."""
    scores, offs = [], []
    for seed in (71, 72, 73):
        relief = played(seed, magnification, content)
        scores.append(relief[0])
        offs.append(relief[1])
    score, off = np.concatenate(scores), np.concatenate(offs)
    assert 0.85 < float(np.sqrt(np.mean(score**2))) < 1.25
    assert 0.88 < float((np.abs(score) < 1.96).mean()) < 0.985
    assert float(np.sqrt(np.mean(off**2))) < 1.0


def played(seed: int, magnification: int, content: str) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the predictions over a slide: in their own sigmas, and in µm."""
    twin = load_settings(None, [f"seed={seed}", f"slide.content={content}", f"optics.magnification={magnification}"])
    scope = Microscope(twin)
    heat = Thermal(twin.mechanics)
    rng = np.random.default_rng(seed)
    places = scope.places(150)
    made = FocusSurface(3000.0, 20.0)
    now_s = 60.0

    def best_um(place: tuple[float, float]) -> float:
        return 3000.0 + scope.shelf.slide.surface_um(*place) + heat.z_um(now_s)

    for group in survey_places(places, 5):
        made.add([Observation(*group[0], best_um(group[0]) + float(rng.normal(0, 0.1)), 0.1, now_s)])
        now_s += 2.0
    errors = []
    for place in places:
        prediction = made.predict(*place, now_s)
        errors.append((prediction.z_um - best_um(place), prediction.sigma_um))
        wrong = 6.0 * float(rng.normal()) if rng.random() < 0.02 else 0.0
        found = Observation(*place, best_um(place) + float(rng.normal(0, 0.2)) + wrong, 0.2, now_s)
        made.add([found])
        now_s += 0.4
    off, sigma = np.array(errors).T
    return off / sigma, off


def test_sigma_is_honest_on_relief_it_has_not_seen() -> None:
    rng = np.random.default_rng(2)
    waves = rng.normal(size=(2, 40)) / 3_000
    phase, size = rng.uniform(0, 6.28, 40), 1.0 * np.sqrt(2 / 40)

    def true(x_um: float, y_um: float) -> float:
        return plane(x_um, y_um) + float(size * np.cos(x_um * waves[0] + y_um * waves[1] + phase).sum())

    places = [(float(rng.uniform(0, 20_000)), float(rng.uniform(0, 10_000))) for _ in range(120)]
    made = FocusSurface(3000.0, 20.0)
    scores = []
    for index, (x, y) in enumerate(places):
        prediction = made.predict(x, y)
        if index >= 15:
            scores.append((true(x, y) - prediction.z_um) / prediction.sigma_um)
        made.add([Observation(x, y, true(x, y) + float(rng.normal(0, 0.1)), 0.1)])
    assert 0.4 < float(np.std(scores)) < 1.5
    assert float(np.mean(np.abs(scores) < 2)) > 0.9


def test_survey_places_span_the_area_and_fall_back_on_neighbours() -> None:
    groups = survey_places(GRID, 5)
    firsts = [group[0] for group in groups]
    assert len(set(firsts)) == 5
    assert np.hypot(firsts[0][0] - 9_000, firsts[0][1] - 3_750) < 2_000
    assert max(x for x, _ in firsts) - min(x for x, _ in firsts) > 10_000
    for group in groups:
        assert len(group) == 3
        assert all(place in GRID for place in group)
        assert not set(group[1:]) & set(firsts)


def test_survey_places_of_tiny_plans() -> None:
    assert survey_places([(1.0, 2.0)], 5) == [[(1.0, 2.0)]]
    assert len(survey_places([(0.0, 0.0), (500.0, 0.0)], 5)) == 2
    with pytest.raises(ValueError, match="at least one field"):
        survey_places([], 5)
