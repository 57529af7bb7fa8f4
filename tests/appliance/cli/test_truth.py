"""Benches compare the right frame with the right truth, and count what matters."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from appliance.cli.bench_figures import auroc, auroc_interval
from appliance.cli.truth import focus_figures, with_truth
from appliance.records import FieldRecord, FocusResult, Outcome
from appliance.scan.events import FieldDone
from appliance.scan.rig import Meter

DOF_UM = 2.8


def done(frame_id: int | None, outcome: Outcome, z_um: float = 3000.0, predicted_um: float = 3000.0) -> FieldDone:
    focus = FocusResult(z_um, 0.1, 0.9, "test", 3, predicted_um)
    now = datetime.now(timezone.utc)
    record = FieldRecord(frame_id or 0, 0.0, 0.0, outcome, "", focus, None, {}, {}, now)
    return FieldDone(record, (), frame_id, Meter())


def truth_file(path: Path, rows: list[tuple[int, float, bool]]) -> Path:
    """Header, then one row an exposure: frame, defocus, blank."""
    lines = [json.dumps({"seed": 1})]
    lines += [json.dumps({"frame_id": n, "z_um": 3000 + d, "best_focus_z_um": 3000.0, "blank": b}) for n, d, b in rows]
    path.write_text("\n".join(lines))
    return path


def test_residuals_are_those_of_the_kept_frames(tmp_path: Path) -> None:
    truth = truth_file(tmp_path / "t", [(1, 0.5, False), (2, 99.0, False), (3, -1.0, False), (4, 2.0, False)])
    fields = [done(1, Outcome.USABLE), done(3, Outcome.USABLE), done(4, Outcome.USABLE)]
    figures = focus_figures(with_truth(fields, truth), DOF_UM)
    assert figures.mean_abs_um == pytest.approx((0.5 + 1.0 + 2.0) / 3)
    assert figures.max_um == pytest.approx(2.0)
    assert figures.within_half_dof == pytest.approx(2 / 3)
    assert figures.unflagged_out_of_focus == pytest.approx(1 / 3)


def test_blank_fields_count_when_chased_or_mistaken(tmp_path: Path) -> None:
    truth = truth_file(tmp_path / "t", [(1, 0.0, True), (2, 9.0, True), (3, 0.0, True), (4, 0.1, False)])
    fields = [
        done(1, Outcome.BLANK),
        done(2, Outcome.BLANK, z_um=3009.0),
        done(3, Outcome.USABLE),
        done(4, Outcome.BLANK),
        done(None, Outcome.FAILED),
    ]
    figures = focus_figures(with_truth(fields, truth), DOF_UM)
    assert (figures.fields, figures.non_blank, figures.failed) == (5, 1, 1)
    assert (figures.blank_chased, figures.blank_taken_for_specimen, figures.specimen_taken_for_blank) == (1, 1, 1)


def test_figures_in_words_name_what_was_found(tmp_path: Path) -> None:
    truth = truth_file(tmp_path / "t", [(1, 0.5, False), (2, -2.0, False), (3, 0.0, True)])
    fields = [done(1, Outcome.USABLE), done(2, Outcome.USABLE), done(3, Outcome.BLANK), done(None, Outcome.FAILED)]
    words = focus_figures(with_truth(fields, truth), DOF_UM).in_words(DOF_UM)
    assert "2 frames kept of 2 fields" in words
    assert "50.0% within" in words
    assert "1.25 µm in the mean" in words
    assert "hidden: 1" in words


def test_without_a_kept_frame_there_are_no_residuals(tmp_path: Path) -> None:
    truth = truth_file(tmp_path / "t", [(1, 0.0, True)])
    figures = focus_figures(with_truth([done(1, Outcome.BLANK), done(None, Outcome.FAILED)], truth), DOF_UM)
    assert json.loads(json.dumps(figures.as_json(), allow_nan=False))["within_half_dof"] is None
    assert "none" in figures.in_words(DOF_UM)


def test_auroc_counts_ties_half_and_its_interval_holds_it() -> None:
    positive, negative = np.array([0.9, 0.8, 0.5]), np.array([0.5, 0.4])
    assert auroc(positive, negative) == pytest.approx(5.5 / 6)
    low, high = auroc_interval(positive, negative, np.random.default_rng(1))
    assert low <= 5.5 / 6 <= high
