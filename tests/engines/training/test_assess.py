"""Figures, controls and the card, on pictures and scores whose answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.package import load_package, shipped
from engines.training.assess.card import card_text
from engines.training.assess.changes import CHANGES, compressed, lit, stained, tinted
from engines.training.assess.crops import crop_gates
from engines.training.assess.objects import (
    by_slide,
    expected_calibration_error,
    froc,
    precision_average,
    together,
)
from engines.training.assess.pairs import paired_scores
from engines.training.assess.whole import whole_figures
from engines.training.controls import COLOUR_LIMIT, logistic_regression, run_controls
from engines.training.crops import Crop, CropSet
from engines.training.fields import Measured
from engines.training.metrics import Matches
from engines.training.settling import most_telling, point_at
from engines.training.subjects import AFB, SEROUS
from engines.training.twin_tiles import UNCERTAIN, Tile


def _measured(
    best: list[float], wrong: list[float], *, off: list[float] | None = None, fields: int = 10, cells: int = 1000
) -> Measured:
    found = [b for b in best if b > 0]
    scores = np.array(found + wrong)
    true = np.arange(scores.size) < len(found)
    matches = Matches(scores, true, np.array(best), np.zeros((scores.size, 2)))
    return Measured(
        matches, np.array(off if off is not None else [0.0] * len(best)), np.zeros(0), fields * 0.05, fields, cells
    )


def test_froc_keeps_the_false_findings_it_is_allowed() -> None:
    measured = _measured([0.9, 0.8, 0.4, 0.0], [0.85, 0.5, 0.3, 0.1], fields=2)
    assert froc(measured, 0.0) == 0.25
    assert froc(measured, 0.5) == 0.5
    assert froc(measured, 1.0) == 0.75
    assert froc(measured, 2.0) == 0.75


def test_only_what_lies_in_focus_is_asked_for() -> None:
    measured = _measured([0.9, 0.0, 0.8, 0.0], [], off=[0.1, 5.0, 0.2, 6.0])
    assert measured.sensitivity(0.5) == 0.5
    assert measured.sensitivity(0.5, within_um=1.0) == 1.0


def test_average_precision_counts_what_was_never_found() -> None:
    assert precision_average(_measured([0.9, 0.8], [0.1])) == 1.0
    assert precision_average(_measured([0.9, 0.0], [0.5])) == pytest.approx((1 + 2 / 3) / 2)


def test_calibration_error_is_the_gap_between_saying_and_being_right() -> None:
    honest = _measured([0.75] * 3, [0.75])
    assert expected_calibration_error(honest, 0.2) == pytest.approx(0.0)
    boastful = _measured([0.95], [0.95])
    assert expected_calibration_error(boastful, 0.2) == pytest.approx(0.45)


def test_intervals_are_drawn_by_slide() -> None:
    rng = np.random.default_rng(0)
    alike = [_measured([0.9, 0.0], [])] * 6
    same = by_slide(alike, lambda m: m.sensitivity(0.5), rng)
    assert (same.value, same.low, same.high) == (0.5, 0.5, 0.5)
    apart = [_measured([0.9] * 4, []), _measured([0.0] * 4, [])] * 3
    wide = by_slide(apart, lambda m: m.sensitivity(0.5), rng)
    assert wide.low < 0.3
    assert wide.high > 0.7
    assert together(apart).matches.best.size == 24


def test_operating_point_counts_half_a_finding_where_none_was_false() -> None:
    point = point_at(_measured([0.9, 0.3], [0.2], cells=500), 0.5, per_cell=True, source="a test")
    assert point.sensitivity == 0.5
    assert point.false_per_cell == pytest.approx(0.5 / 500)
    assert point.false_per_mm2 == pytest.approx(1.0)


def test_the_most_telling_threshold_lies_above_the_false_findings() -> None:
    rng = np.random.default_rng(1)
    best, wrong = rng.uniform(0.3, 1.0, 200).tolist(), rng.uniform(0.0, 0.6, 300).tolist()
    threshold = most_telling(_measured(best, wrong, cells=20_000), 0.002, 10_000, 0.7)
    assert 0.55 < threshold < 0.75


class _Painted:
    """A network whose map is given."""

    def __init__(self, heat: NDArray[np.float32]) -> None:
        self._heat = heat

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._heat


def test_both_networks_are_asked_at_the_same_places() -> None:
    blank = np.zeros((1, 32, 32), np.float32)
    first, second = blank.copy(), blank.copy()
    first[0, 8, 8], second[0, 8, 8] = 0.9, 0.7  # on the target
    first[0, 20, 20], second[0, 20, 21] = 0.5, 0.4  # on nothing, a cell apart: one place
    second[0, 28, 4] = 0.3  # seen by the second alone
    second[0, 4, 28] = 0.3  # on what nobody could name
    tile = Tile(
        np.zeros((128, 128, 3), np.uint8),
        np.array([0, UNCERTAIN]),
        np.array([[32.0, 32.0, 16.0, 16.0], [112.0, 16.0, 16.0, 16.0]]),
        np.array([0.3, 0.0]),
    )
    scores = paired_scores(_Painted(first), _Painted(second), AFB, [tile])
    assert scores.positive.tolist() == [True, False, False]
    assert scores.fp32.tolist() == pytest.approx([0.9, 0.5, 0.0])
    assert scores.int8.tolist() == pytest.approx([0.7, 0.4, 0.3])
    assert scores.defocus is not None
    assert scores.defocus[0] == pytest.approx(0.3 / AFB.microscope.depth_um)


def test_changes_change_the_picture_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    picture = np.full((64, 64, 3), (200, 190, 210), np.uint8)
    picture[20:40, 20:40] = rng.integers(60, 140, (20, 20, 3))
    for change in CHANGES:
        result = change.apply(picture)
        assert result.shape == picture.shape
        assert result.dtype == np.uint8
        assert np.array_equal(result, picture) == (change.name == "as rendered"), change.name
    assert stained(0.5)(picture)[30, 30].mean() > picture[30, 30].mean() > stained(1.5)(picture)[30, 30].mean()
    assert np.abs(stained(0.5)(picture)[0, 0].astype(int) - picture[0, 0]).max() <= 1  # clear glass stays
    assert lit((0.5, 1.0, 1.0))(picture)[0, 0].tolist() == [100, 190, 210]
    assert np.abs(tinted(0.0)(picture).astype(int) - picture).max() <= 1
    assert np.abs(compressed(95)(picture).astype(int) - picture).mean() < 10


def _coloured_tile(rng: np.random.Generator, *, cheating: bool) -> Tile:
    """Discs of two classes; cheating: the targets are redder and lie deeper."""
    picture = rng.normal(200, 4, (200, 200, 3)).clip(0, 255).astype(np.uint8)
    labels, places, off = [], [], []
    for row in range(10, 200, 20):
        for col in range(10, 200, 20):
            label = int(rng.integers(2))
            shade = np.array([120, 110, 130]) + rng.normal(0, 12, 3)
            if cheating and label == 0:
                shade[0] += 40
            picture[row - 4 : row + 5, col - 4 : col + 5] = shade.clip(0, 255)
            labels.append(label)
            places.append((col, row, 9, 9))
            off.append(abs(rng.normal(0, 1)) + (2.0 if cheating and label == 0 else 0.0))
    return Tile(picture, np.array(labels), np.array(places, float), np.array(off))


def test_controls_catch_a_renderer_that_cheats_and_pass_one_that_does_not() -> None:
    rng = np.random.default_rng(3)
    for cheating in (False, True):
        controls = run_controls([[_coloured_tile(rng, cheating=cheating)] for _ in range(6)])
        assert [c.passed for c in controls] == [not cheating] * 2, controls
        assert controls[0].limit == COLOUR_LIMIT
        assert controls[0].objects == 600


def test_logistic_regression_finds_the_direction() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (2_000, 2))
    y = x[:, 0] - 0.5 * x[:, 1] + rng.logistic(0, 0.5, 2_000) > 0
    weights = logistic_regression(x, y)
    assert weights[1] / weights[0] == pytest.approx(-0.5, abs=0.15)
    assert SEROUS.labels[0].target


def _bench_engine(path: Path, sha256: str) -> Path:
    figures = {
        "onnx_sha256": sha256,
        "ms_1_thread": {"onnxruntime, rewritten": 44.12},
        "wall_ms_2_threads": {"onnxruntime, rewritten": 24.5},
        "peak_mb_by_runtime": {"onnxruntime, rewritten": 264.7},
        "onnxruntime_vs_fp32_1_thread": 3.038,
        "onnxruntime_vs_openvino_1_thread": None,
        "rounds": 7,
        "choice": {"machine": "x86_64"},
    }
    path.write_text(json.dumps({"assays": {"afb": figures}}))
    return path


def test_a_card_takes_speed_from_the_bench_of_the_same_network_only(tmp_path: Path) -> None:
    speed = _bench_engine(tmp_path / "engine.json", "a" * 64)
    figures = whole_figures("a" * 64, "afb", witness=None, grades=None, speed=speed)["speed"]
    assert figures["command"] == "cytoscan bench engine --rounds 7"
    assert list(figures["rows"].values()) == [44.1, 3.04, "not installed", 24.5, 265]
    with pytest.raises(EngineError, match="another network"):
        whole_figures("b" * 64, "afb", witness=None, grades=None, speed=speed)


def test_a_card_names_the_command_behind_its_witness_curve(tmp_path: Path) -> None:
    witness = tmp_path / "witness.json"
    row = {"share": 0.01, "slides": 10, "auroc": 0.92, "low": 0.78, "high": 1.0, "sensitivity_at_t1": [1.0, 1.0, 1.0]}
    verdict = {"seed": 7000, "onnx_sha256": "a" * 64}
    written = {"assay": "serous", "fields": 40, "negatives": 10, "rows": [row], "verdicts": [verdict]}
    witness.write_text(json.dumps(written))
    figures = whole_figures("a" * 64, "serous", witness=witness, grades=None, speed=None)["witness"]
    assert figures["command"] == "cytoscan bench witness --slides 10 --fields 40 --seed 7000 --shares 0.01"
    with pytest.raises(EngineError, match=r"witness\.json is of another network"):
        whole_figures("b" * 64, "serous", witness=witness, grades=None, speed=None)
    witness.write_text(json.dumps({"rows": []}))
    with pytest.raises(EngineError, match="cannot be read"):
        whole_figures("a" * 64, "serous", witness=witness, grades=None, speed=None)


@pytest.mark.parametrize(("fp32", "said"), [("before quantisation", False), ("activations only", True)])
def test_the_card_says_when_fp32_was_no_longer_at_hand(fp32: str, said: bool) -> None:
    folder = shipped("afb")
    measured = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
    text = card_text(load_package(folder), {**measured, "fp32": fp32})
    assert ("without the rounding of activations" in text) is said
    assert "## INT8 against FP32" in text


def test_a_network_that_clips_real_pictures_fails_its_gates() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    crops = CropSet(tuple(Crop(picture, index, index < 200, str(index)) for index in range(400)), ())
    full = np.concatenate([np.linspace(0.6, 1.0, 200), np.linspace(0.0, 0.4, 200)])
    assert [(gate.name, gate.passed) for gate in crop_gates(full, full, crops)] == [
        ("crops_auroc_loss", True),
        ("crops_sensitivity_loss", True),
    ]
    assert not any(gate.passed for gate in crop_gates(full, np.minimum(full, 0.3), crops))
