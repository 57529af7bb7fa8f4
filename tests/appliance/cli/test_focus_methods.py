"""The methods of others, each over something whose sharp height is known: they find it to within their step."""

from __future__ import annotations

import importlib

import pytest

from appliance.cli.focus_methods import registry
from appliance.cli.focus_methods.method import Kept, Method
from appliance.cli.focus_methods.registry import PEERS, NotInstalled

from .known_curve import OPTICS, KnownCurve

STEP_UM = OPTICS.dof_um / 2
START_UM = 3_000.0


def method(name: str) -> Method:
    """The method, or a skip that says which package is missing."""
    try:
        return PEERS[name]()
    except NotInstalled as missing:
        pytest.skip(str(missing))


def visits(name: str, off_um: float, fields: int) -> tuple[KnownCurve, list[Kept], list[float]]:
    """Visit some fields that are all sharp `off_um` over the start; what was kept, and how far off each was."""
    scope = KnownCurve(START_UM + off_um)
    setup = scope.setup(fields, START_UM)
    visitor = method(name)(setup)
    kept = [visitor.visit(field) for field in setup.fields]
    return scope, kept, [scope.heights_um[k.frame_id or 0] - scope.best_um for k in kept]


@pytest.mark.parametrize("off_um", [-3.1, 0.4, 2.9])
@pytest.mark.parametrize(
    ("name", "within_um"),
    [
        ("exhaustive_21", STEP_UM / 2 + 1e-6),
        ("squid", STEP_UM / 2 + 1e-6),
        ("openflexure", 0.25 * OPTICS.dof_um),
        ("pylabrobot_golden", 1.0),
        ("pymmcore_plus", 0.1),
    ],
)
def test_each_finds_the_sharp_height(name: str, within_um: float, off_um: float) -> None:
    _, kept, off = visits(name, off_um, 3)
    assert all(k.in_focus for k in kept)
    assert max(map(abs, off)) <= within_um


def test_without_focus_the_first_height_stays() -> None:
    scope, _, off = visits("pymmcore_plus_no_af", 1.7, 3)
    assert off == pytest.approx([-1.7] * 3)
    assert len(scope.heights_um) == 3


def test_every_plane_is_exposed_once_and_one_of_them_is_kept() -> None:
    scope, _, _ = visits("exhaustive_21", 0.0, 2)
    assert len(scope.heights_um) == 42


def test_squid_stops_behind_the_peak_and_leaves_two_of_three_fields_alone() -> None:
    scope, _, _ = visits("squid", -2 * STEP_UM, 4)
    ways = len(scope.heights_um)
    whole, _, _ = visits("squid", 5 * STEP_UM, 1)
    assert len(whole.heights_um) == 11
    assert ways < 2 * 11
    assert ways >= 2 * 4 + 4


def test_a_sweep_follows_a_peak_that_lies_near_its_end() -> None:
    near, _, _ = visits("openflexure", 0.0, 1)
    far, kept, off = visits("openflexure", 2.2 * OPTICS.dof_um, 1)
    assert len(far.heights_um) > 1.5 * len(near.heights_um)
    assert kept[0].in_focus
    assert abs(off[0]) <= 0.25 * OPTICS.dof_um


def test_a_sweep_whose_peak_stays_at_the_end_says_so() -> None:
    _, kept, _ = visits("openflexure", 200.0, 1)
    assert not kept[0].in_focus


def test_the_parabola_is_that_of_eleven_planes_and_one_more_exposure() -> None:
    scope, _, _ = visits("pymmcore_plus", 0.6, 2)
    assert len(scope.heights_um) == 24


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ModuleNotFoundError("No module named 'pylabrobot'", name="pylabrobot")

    monkeypatch.setattr(registry, "import_module", absent)
    with pytest.raises(NotInstalled, match=r"pylabrobot.*make bench-focus"):
        PEERS["pylabrobot_golden"]()


def test_a_mistake_of_ours_is_no_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise ImportError("cannot import name 'x'", name="appliance.scan.plan")

    monkeypatch.setattr(registry, "import_module", broken)
    with pytest.raises(ImportError, match="cannot import name"):
        PEERS["pymmcore_plus"]()
    assert importlib.import_module("appliance.scan.plan")
