"""Ways to tell a frame's height from itself, side by side: `python -m tests.appliance.scan.judge_candidates --help`.

All learn from the same z-stacks of one twin slide and are asked about the same frames of others, of each of which they
have been shown a frame near focus of four fields, as a survey would.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.cli.result import write_json
from appliance.scan.focus.axial import AxialCurve, Stack, learn_curve
from appliance.scan.focus.bands import BANDS, FEATURES
from appliance.scan.focus.calibrate import measure_stacks
from appliance.scan.focus.judge import SlideJudge
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.places import survey_places
from appliance.scan.focus.survey import survey
from appliance.settings import FocusSection
from drivers.twin.settings import load_settings

from .microscope import Microscope

Floats = NDArray[np.float64]
Judge = Callable[[Floats], float]
"""From the features of a frame to its height over best focus, µm."""
Candidate = Callable[[Sequence[Stack], FocusOptics, Sequence[tuple[Floats, float]]], Judge]
SHOWN = 4
_ASKED_DOF = 1.5
_RIDGE = 1.0


def stacks_of(seed: int, fields: int, assignments: Sequence[str]) -> tuple[list[Stack], FocusOptics]:
    """Stacks through focus at places all over a twin slide."""
    scope = Microscope(load_settings(None, [*assignments, f"seed={seed}"]))
    optics = FocusOptics(scope.settings.optics.aperture, scope.settings.optics.scale_um)
    places = scope.places(200)
    known = survey(scope, places, FocusSection(), optics)
    chosen = [group[0] for group in survey_places(places, fields)]
    return measure_stacks(scope, chosen, known, FocusSection(), optics), optics


def one_ratio(stacks: Sequence[Stack], optics: FocusOptics, shown: Sequence[tuple[Floats, float]]) -> Judge:
    """Blue over red, all bands as one number: the height at which the mean curve comes nearest, within its rise."""
    curve = learn_curve(stacks, optics)
    rise = np.abs(curve.offset_um) <= 2.0 * optics.dof_um
    heights, ratio = curve.offset_um[rise], _ratio(curve.mean[rise])
    shift = float(np.mean([_ratio(seen[None])[0] - np.interp(at, heights, ratio) for seen, at in shown]))
    return lambda seen: float(heights[np.abs(ratio + shift - _ratio(seen[None])[0]).argmin()])


def _ratio(features: Floats) -> Floats:
    return np.asarray((features[:, BANDS : 2 * BANDS] - features[:, :BANDS]).mean(axis=1))


def regression(stacks: Sequence[Stack], optics: FocusOptics, shown: Sequence[tuple[Floats, float]]) -> Judge:
    """Ridge regression of the height on all features, and on their squares."""
    asked = [np.abs(stack.offset_um) <= 2.0 * optics.dof_um for stack in stacks]
    features = np.concatenate([stack.features[near] for stack, near in zip(stacks, asked, strict=True)])
    heights = np.concatenate([stack.offset_um[near] for stack, near in zip(stacks, asked, strict=True)])
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6

    def design(seen: Floats) -> Floats:
        scaled = (seen - mean) / spread
        return np.concatenate([np.ones((len(seen), 1)), scaled, scaled**2], axis=1)

    rows = design(features)
    weights = np.linalg.solve(rows.T @ rows + _RIDGE * np.eye(rows.shape[1]), rows.T @ heights)
    shift = float(np.mean([at - (design(seen[None]) @ weights)[0] for seen, at in shown]))
    return lambda seen: float((design(seen[None]) @ weights)[0]) + shift


def one_covariance(stacks: Sequence[Stack], optics: FocusOptics, shown: Sequence[tuple[Floats, float]]) -> Judge:
    """A linear discriminant: all heights have one covariance."""
    curve = learn_curve(stacks, optics)
    same = np.repeat(curve.covariance.mean(axis=0)[None], len(curve.offset_um), axis=0)
    return _judge(replace(curve, covariance=same), optics, shown)


def ours(stacks: Sequence[Stack], optics: FocusOptics, shown: Sequence[tuple[Floats, float]]) -> Judge:
    """A quadratic discriminant: each height has its own."""
    return _judge(learn_curve(stacks, optics), optics, shown)


def colours_only(stacks: Sequence[Stack], optics: FocusOptics, shown: Sequence[tuple[Floats, float]]) -> Judge:
    """The same without the shape of the green spectrum: what axial colour alone says."""
    curve = learn_curve(stacks, optics)
    covariance = curve.covariance.copy()
    covariance[:, 2 * BANDS :, :] = 0.0
    covariance[:, :, 2 * BANDS :] = 0.0
    covariance[:, range(2 * BANDS, FEATURES), range(2 * BANDS, FEATURES)] = 1e4
    return _judge(replace(curve, covariance=covariance), optics, shown)


def _judge(curve: AxialCurve, optics: FocusOptics, shown: Sequence[tuple[Floats, float]]) -> Judge:
    judge = SlideJudge(curve)
    for seen, at in shown:
        judge.learn(seen, at, 0.1 * optics.dof_um)
    return lambda seen: judge.judge(seen, 0.0, 100.0 * optics.dof_um, optics.dof_um / 2).offset_um


CANDIDATES: dict[str, Candidate] = {
    "blue over red, one number": one_ratio,
    "ridge regression": regression,
    "linear discriminant": one_covariance,
    "quadratic discriminant, colours only": colours_only,
    "quadratic discriminant": ours,
}


def compare(
    learned: Sequence[Stack], slides: Sequence[Sequence[Stack]], optics: FocusOptics
) -> dict[str, dict[str, float]]:
    """Errors in µm of frames within one and a half depths of field, on slides that nobody learned from.

    lowest_p95_of_slides_um, highest_p95_of_slides_um: the 95th percentile of single slides.
    """
    table = {}
    for name, candidate in CANDIDATES.items():
        asked = [_asked(candidate, learned, unseen, optics) for unseen in slides]
        error, offset = np.concatenate(asked).T
        beyond = np.abs(offset) > optics.dof_um / 2
        each = [round(float(np.quantile(np.abs(one[:, 0]), 0.95)), 3) for one in asked]
        table[name] = {
            "frames": len(error),
            "median_um": round(float(np.median(np.abs(error))), 3),
            "p95_um": round(float(np.quantile(np.abs(error), 0.95)), 3),
            "lowest_p95_of_slides_um": min(each),
            "highest_p95_of_slides_um": max(each),
            "within_half_dof": round(float((np.abs(error) <= optics.dof_um / 2).mean()), 4),
            "wrong_side": round(float((np.sign(error + offset) != np.sign(offset))[beyond].mean()), 4),
        }
    return table


def _asked(candidate: Candidate, learned: Sequence[Stack], unseen: Sequence[Stack], optics: FocusOptics) -> Floats:
    """(n, 2): error and true height of the frames of one slide."""
    shown = [
        (s.features[i], float(s.offset_um[i])) for s in unseen[:SHOWN] for i in [int(np.abs(s.offset_um).argmin())]
    ]
    judge = candidate(learned, optics, shown)
    pairs = [
        (judge(features) - offset, offset)
        for stack in unseen[SHOWN:]
        for offset, features in zip(stack.offset_um, stack.features, strict=True)
        if abs(offset) <= _ASKED_DOF * optics.dof_um
    ]
    return np.array(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare ways to judge the focus of single frames on twin slides.")
    parser.add_argument("--magnification", type=int, choices=(450, 900), default=450)
    parser.add_argument("--na", type=float)
    parser.add_argument("--fields", type=int, default=24)
    parser.add_argument("--slides", type=int, default=1, help="slides that are judged")
    parser.add_argument("--seed", type=int, default=940, help="of the slide learned from; the next ones are judged")
    parser.add_argument("--set", action="append", default=[], help="twin setting a.b=value")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    content = "serous" if given.magnification == 450 else "sputum"
    assignments = [f"slide.content={content}", f"optics.magnification={given.magnification}", *given.set]
    if given.na:
        assignments.append(f"optics.na={given.na}")
    learned, optics = stacks_of(given.seed, given.fields, assignments)
    slides = [stacks_of(given.seed + 1 + n, given.fields, assignments)[0] for n in range(given.slides)]
    found = {"na": optics.na, "dof_um": optics.dof_um, **compare(learned, slides, optics)}
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if given.json:
        write_json(given.json, found)


if __name__ == "__main__":
    main()
