"""Focus on whole twin slides against the truth: `python -m tests.appliance.scan.focus_bench --help`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, field

import numpy as np
import yaml

from appliance.records import Outcome
from appliance.scan.focus.field import focus_field
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.surface import Observation
from appliance.scan.focus.survey import survey
from appliance.settings import FocusSection
from drivers.twin.settings import TwinSettings, load_settings

from .microscope import Microscope


@dataclass
class Report:
    """Numbers of one slide. Residuals are of kept frames of fields that truly hold specimen, in µm, from the truth."""

    content: str
    seed: int
    dof_um: float
    fields: int = 0
    blank: int = 0
    blank_called_usable: int = 0
    blank_chased: int = 0
    failed: int = 0
    missed: int = 0
    missed_fields: dict[str, object] = field(default_factory=dict)
    survey_exposures: int = 0
    exposures: int = 0
    offs_um: list[float] = field(default_factory=list)
    surprises_um: list[float] = field(default_factory=list)
    surprise_sigmas: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    def summary(self) -> dict[str, object]:
        offs = np.abs(self.offs_um)
        said = {k: v for k, v in asdict(self).items() if not isinstance(v, list)}
        within = float((offs <= self.dof_um / 2).sum()) / max(self.fields - self.blank, 1)
        return said | {
            "exposures_per_field": round((self.exposures + self.survey_exposures) / max(self.fields, 1), 3),
            "within_half_dof": round(within, 4),
            "kept_within_half_dof": round(float((offs <= self.dof_um / 2).mean()), 4) if len(offs) else None,
            "mean_abs_um": round(float(offs.mean()), 3) if len(offs) else None,
            "max_um": round(float(offs.max()), 3) if len(offs) else None,
            "prediction_rms_dof": round(float(np.std(self.surprises_um)) / self.dof_um, 3),
            "prediction_z_rms": round(float(np.std(self.surprise_sigmas)), 2),
            "p95_um": round(float(np.quantile(offs, 0.95)), 3) if len(offs) else None,
        }


def measure_slide(settings: TwinSettings, fields: int, focus: FocusSection, *, evenness: float = 0.0) -> Report:
    """Survey and focus one slide. A non-blank field that is called blank or failed counts as missed."""
    scope = Microscope(settings)
    optics = FocusOptics(settings.optics.aperture, settings.optics.scale_um)
    report = Report(scope.slide.content, settings.seed, optics.dof_um)
    planned = scope.plan(fields).fields
    found = survey(scope, [(f.x_um, f.y_um) for f in planned], focus, optics, evenness=evenness)
    report.survey_exposures = found.exposures
    report.reasons["survey: " + (found.reason or "found")] = 1
    if not found.found:
        return report
    for planned_field in planned:
        scope.go_to(planned_field.x_um, planned_field.y_um)
        prediction = found.surface.predict(planned_field.x_um, planned_field.y_um, scope.now_s())
        start = len(scope.truths)
        done = focus_field(scope, prediction, found.view, focus, optics)
        _count(report, scope, done.outcome, done.frame.frame_id if done.frame else None, len(scope.truths) - start)
        key = done.reason or done.result.reason
        report.reasons[key] = report.reasons.get(key, 0) + 1
        if done.peak is not None:
            report.surprises_um.append(done.peak.z_um - prediction.z_um)
            report.surprise_sigmas.append((done.peak.z_um - prediction.z_um) / prediction.sigma_um)
            place = (planned_field.x_um, planned_field.y_um)
            found.surface.add([Observation(*place, done.peak.z_um, done.peak.sigma_um, scope.now_s())])
    return report


def _count(report: Report, scope: Microscope, outcome: Outcome, frame_id: int | None, exposures: int) -> None:
    report.fields += 1
    report.exposures += exposures
    truth = scope.truths[frame_id or len(scope.truths)]
    report.failed += outcome is Outcome.FAILED
    if truth.blank:
        report.blank += 1
        report.blank_called_usable += outcome is Outcome.USABLE
        report.blank_chased += exposures > 3
    elif outcome is Outcome.USABLE:
        report.offs_um.append(truth.off_um)
    else:
        report.missed += 1
        report.missed_fields[f"{report.fields}: {outcome.value}"] = [round(truth.detail, 3), truth.kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description="Focus whole twin slides and compare with the truth.")
    parser.add_argument("--magnification", type=int, choices=(450, 900), default=450)
    parser.add_argument("--slides", type=int, default=2)
    parser.add_argument("--fields", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--evenness", type=float, default=0.0)
    parser.add_argument("--harsh", action="store_true")
    parser.add_argument("--set", action="append", default=[], help="twin setting a.b=value")
    parser.add_argument("--focus", action="append", default=[], help="focus setting name=value")
    given = parser.parse_args()
    content = "serous" if given.magnification == 450 else "sputum"
    focus = FocusSection.model_validate({k: yaml.safe_load(v) for k, v in (pair.split("=") for pair in given.focus)})
    for seed in range(given.seed, given.seed + given.slides):
        assignments = [f"seed={seed}", f"slide.content={content}", f"optics.magnification={given.magnification}"]
        settings = load_settings(None, [*assignments, *given.set], harsh=given.harsh)
        start = time.perf_counter()
        summary = measure_slide(settings, given.fields, focus, evenness=given.evenness).summary()
        sys.stdout.write(json.dumps(summary | {"wall_s": round(time.perf_counter() - start, 1)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
