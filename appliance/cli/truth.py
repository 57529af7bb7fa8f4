"""The twin's truth file, read by benches only: how far each kept frame was from best focus.

The file's lines are written by `drivers.twin.truth`; nothing of it reaches the scan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from appliance.records import FieldRecord, Outcome
from appliance.scan.events import FieldDone


@dataclass(frozen=True)
class ExposureTruth:
    """One exposure as it really was: true stage heights in µm, and whether there was anything to see."""

    frame_id: int
    z_um: float
    best_focus_z_um: float
    blank: bool

    @property
    def defocus_um(self) -> float:
        """Signed distance of the exposure from best focus."""
        return self.z_um - self.best_focus_z_um


@dataclass(frozen=True)
class FocusFigures:
    """Focus of the kept frames against truth. Residuals in µm; shares are of non-blank fields called usable.

    kept: how many those are; where there are none, residuals and shares are None. failed: fields without a kept frame.
    """

    fields: int
    non_blank: int
    kept: int
    mean_abs_um: float | None
    p95_um: float | None
    max_um: float | None
    within_half_dof: float | None
    unflagged_out_of_focus: float | None
    blank_chased: int
    blank_taken_for_specimen: int
    specimen_taken_for_blank: int
    failed: int

    def as_json(self) -> dict[str, float | None]:
        """Plain numbers."""
        return asdict(self)

    def in_words(self, dof_um: float) -> str:
        """Two lines for a person."""
        found = (
            f"{self.within_half_dof:.1%} within half a depth of field (±{dof_um / 2:.2f} µm), off by "
            f"{self.mean_abs_um:.2f} µm in the mean, {self.p95_um:.2f} µm at the 95th percentile, {self.max_um:.2f} µm "
            "at most"
            if self.kept
            else "none"
        )
        return (
            f"Focus of {self.kept} frames kept of {self.non_blank} fields with specimen: {found}.\n"
            f"Blank fields chased: {self.blank_chased}; blank taken for specimen: {self.blank_taken_for_specimen}; "
            f"specimen taken for blank: {self.specimen_taken_for_blank}; fields not focused or hidden: {self.failed}."
        )


def read_truth(path: Path) -> dict[int, ExposureTruth]:
    """Exposures by frame number."""
    exposures = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if "frame_id" in row:
            exposures[row["frame_id"]] = ExposureTruth(
                row["frame_id"], row["z_um"], row["best_focus_z_um"], bool(row["blank"])
            )
    return exposures


def with_truth(done: Iterable[FieldDone], truth: Path) -> list[tuple[FieldDone, ExposureTruth | None]]:
    """Each field beside the truth of its kept frame."""
    exposures = read_truth(truth)
    return [(field, exposures.get(field.frame_id) if field.frame_id is not None else None) for field in done]


def focus_figures(fields: Sequence[tuple[FieldDone, ExposureTruth | None]], dof_um: float) -> FocusFigures:
    """Compare each kept frame with the truth of its exposure.

    A field is out of focus beyond half a depth of field; unflagged when it was called usable all the same. A blank
    field is chased when its height was moved by more than two depths of field from the prediction.
    """
    blank = [(f.record, t) for f, t in fields if t is not None and t.blank]
    seen = [(f.record, t) for f, t in fields if t is not None and not t.blank]
    residuals = np.array([abs(t.defocus_um) for r, t in seen if r.outcome is Outcome.USABLE])
    within = float((residuals <= dof_um / 2).mean()) if residuals.size else None
    return FocusFigures(
        fields=len(fields),
        non_blank=len(seen),
        kept=residuals.size,
        mean_abs_um=float(residuals.mean()) if residuals.size else None,
        p95_um=float(np.percentile(residuals, 95)) if residuals.size else None,
        max_um=float(residuals.max()) if residuals.size else None,
        within_half_dof=within,
        unflagged_out_of_focus=None if within is None else 1.0 - within,
        blank_chased=sum(_moved_um(record) > 2 * dof_um for record, _ in blank),
        blank_taken_for_specimen=sum(record.outcome is Outcome.USABLE for record, _ in blank),
        specimen_taken_for_blank=sum(record.outcome is Outcome.BLANK for record, _ in seen),
        failed=sum(field.record.outcome is Outcome.FAILED for field, _ in fields),
    )


def _moved_um(record: FieldRecord) -> float:
    """How far from its predicted height a field's kept frame was taken."""
    focus = record.focus
    return 0.0 if focus.predicted_z_um is None else abs(focus.z_um - focus.predicted_z_um)
