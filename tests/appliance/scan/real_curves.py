"""Peak fitting on focus curves of real microscopes: `python -m tests.appliance.scan.real_curves FOLDER --json FILE`.

The curves are those of DinethHewa/autofocusBenchmark (CC BY 4.0): stacks of white cells, bone marrow and fluorescent
tubercle bacilli, with the plane on which several measures agree. Their planes lie an unpublished step apart, so planes
are the unit here.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.cli.result import write_json
from appliance.scan.focus.estimate import Peak, Sample, fit_peak, missing_sample

SETS = ("WBC", "BMA", "TBF")
MEASURES = ("brenner_gradient", "tenengrad")
TRUSTED = frozenset({"bracketed", "two peaks"})
"""What a field is kept for."""
NOISE = 0.01
"""Of curves that run from 0 to 1; own estimate, as none is published."""
STEP = 2.0
"""Planes between the exposures of a search: about two thirds of a curve's width, as in a scan."""
MOST_EXPOSURES = 6
STARTS = (-2, -1, 0, 1, 2)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Of one set by one measure.

    within_one: share of stacks whose nearest plane is at most one from the reference: by the highest sample, by a fit
    of all planes, and by a search that takes a few planes from a start near the reference. wrong: the same share's
    opposite, among the fits and searches that are trusted; trusted: how many are. exposures: of a search.
    """

    stacks: int
    width_planes: float
    argmax_within_one: float
    fit_within_one: float
    fit_trusted: float
    fit_trusted_wrong: float
    search_within_one: float
    search_trusted: float
    search_trusted_wrong: float
    search_exposures: float


def load(folder: Path, measure: str) -> tuple[Floats, NDArray[np.int64]]:
    """Curves (stacks, planes), each from 0 to 1, and the reference plane of each."""
    # The files hold numbers as Python objects, which numpy stores by pickling.
    curves = np.load(folder / f"{measure}.npy", allow_pickle=True).astype(np.float64)
    return curves, np.load(folder / "reference_index.npy")


def usual_width(curves: Floats) -> float:
    """Median full width at half height, planes, of the curves that fall to half on both sides: what a survey learns."""
    widths = [w for w in map(_width, curves) if w is not None]
    return float(np.median(widths))


def _width(curve: Floats) -> float | None:
    peak = int(curve.argmax())
    below = np.flatnonzero(curve <= 0.5)
    left, right = below[below < peak], below[below > peak]
    if not left.size or not right.size:
        return None
    low, high = int(left[-1]), int(right[0])
    first = low + (0.5 - curve[low]) / (curve[low + 1] - curve[low])
    last = high - (0.5 - curve[high]) / (curve[high - 1] - curve[high])
    return float(last - first)


def fit(curve: Floats, width: float) -> Peak:
    """All planes."""
    return fit_peak([_sample(curve, plane) for plane in range(len(curve))], width)


def search(curve: Floats, start: int, width: float) -> tuple[Peak, int]:
    """As a field is bracketed: from below the start upwards, until the maximum has lower samples on both sides."""
    top = len(curve) - 1
    planes = {int(np.clip(start - STEP, 0, top)), int(np.clip(start, 0, top))}
    while len(planes) < MOST_EXPOSURES:
        wanted = missing_sample([_sample(curve, plane) for plane in planes], STEP, 0.0, float(top))
        if wanted is None or round(wanted) in planes:
            break
        planes.add(round(wanted))
    if len(planes) < 3:
        planes.add(int(np.clip(start + STEP, 0, top)))
    return fit_peak([_sample(curve, plane) for plane in planes], width), len(planes)


def _sample(curve: Floats, plane: int) -> Sample:
    return Sample(float(plane), float(curve[plane]), NOISE)


def measure_set(folder: Path, measure: str, every: int = 1) -> Figures:
    """Figures of every `every`th stack of a set."""
    curves, reference = load(folder, measure)
    curves, reference = curves[::every], reference[::every]
    width = usual_width(curves)
    fits = [fit(curve, width) for curve in curves]
    starts = [int(plane) + STARTS[number % len(STARTS)] for number, plane in enumerate(reference)]
    found = [search(curve, start, width) for curve, start in zip(curves, starts, strict=True)]
    fit_good, fit_sure = _against(fits, reference)
    search_good, search_sure = _against([peak for peak, _ in found], reference)
    return Figures(
        stacks=len(curves),
        width_planes=round(width, 2),
        argmax_within_one=_share(np.abs(curves.argmax(axis=1) - reference) <= 1),
        fit_within_one=_share(fit_good),
        fit_trusted=_share(fit_sure),
        fit_trusted_wrong=_share(~fit_good[fit_sure]),
        search_within_one=_share(search_good),
        search_trusted=_share(search_sure),
        search_trusted_wrong=_share(~search_good[search_sure]),
        search_exposures=round(float(np.mean([exposures for _, exposures in found])), 2),
    )


def _against(peaks: list[Peak], reference: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each peak's nearest plane is at most one from the reference, and whether it is trusted."""
    nearest = np.round([peak.z_um for peak in peaks])
    return np.abs(nearest - reference) <= 1, np.array([peak.reason in TRUSTED for peak in peaks])


def _share(which: NDArray[np.bool_]) -> float:
    return round(float(which.mean()), 4) if which.size else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the peaks of focus curves of real microscopes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = {
        f"{name} {measure}": asdict(measure_set(given.folder / name, measure)) for name in SETS for measure in MEASURES
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    if given.json:
        write_json(given.json, figures)


if __name__ == "__main__":
    main()
