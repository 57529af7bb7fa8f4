"""Measure the axial curve of a device: stacks through focus at fields of any slide, and how far it can be trusted.

A device whose colours are sharp at the same height, or whose camera shows none, cannot tell the side; that is found out
here, on fields that were held back, and not in the middle of a patient's slide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from appliance.scan.focus.axial import TEMPER, AxialCurve, Stack, learn_curve
from appliance.scan.focus.bands import measure_bands
from appliance.scan.focus.curve import Shot, is_empty, sharpness_curve, shoot
from appliance.scan.focus.estimate import fit_peak
from appliance.scan.focus.judge import UNFAMILIAR, SlideJudge
from appliance.scan.focus.optics import FocusOptics
from appliance.scan.focus.places import Place
from appliance.scan.focus.search import FocusDevice
from appliance.scan.focus.survey import Survey, SurveyDevice
from appliance.settings import FocusSection

REACH_DOF, STEP_DOF = 4.0, 0.25
_NEAR_DOF = 1.5
_SURE_DOF = 0.1
FEWEST_FIELDS = 8
"""So that those learned from are enough when one in eight is held back."""
_FOLDS = 8
_JUDGED_DOF = 2.0
_EXPECTED_DOF = 2.0
_SHOWN = 5
_TOLD, _WRONG_SIDE = 0.7, 0.2
_KEPT = 0.75
"""Share of the stacks that are learned from at least: where more are strange, the slide is."""
_TEMPERS = (2.0, 3.0, 4.5, 7.0, 10.0)
_HONEST = 1.1
"""Root mean square of errors over their stated deviation up to which a curve does not claim too much."""


@dataclass(frozen=True)
class AxialQuality:
    """Errors of single frames on fields held back, of which only that they lie within two depths of field is known.

    fields: learned from. strange: left out, see `familiar_stacks`; their frames tell nothing. told: share of the frames
    that told anything; the rest is of these. median_um, p95_um: of the absolute error.
    wrong_side: share of frames beyond half a depth of field whose side was mistaken. within: share of errors that stay
    below half a depth of field. claimed: root mean square of the errors over what the judge said that they would be.
    """

    fields: int
    strange: int
    frames: int
    told: float
    median_um: float
    p95_um: float
    wrong_side: float
    within: float
    claimed: float


def measure_stacks(
    device: SurveyDevice,
    places: Sequence[Place],
    known: Survey,
    settings: FocusSection,
    optics: FocusOptics,
    *,
    stacked: Callable[[int], None] = lambda _: None,
) -> list[Stack]:
    """A stack at each place that shows something and whose peak is found. stacked: told how many places are done.

    Raises whatever the device raises.
    """
    stacks = []
    for done, (x_um, y_um) in enumerate(places, 1):
        device.go_to(x_um, y_um)
        stack = _stack(device, known, known.surface.predict(x_um, y_um, device.now_s()).z_um, settings, optics)
        if stack is not None:
            stacks.append(stack)
        stacked(done)
    return stacks


def _stack(
    device: FocusDevice, known: Survey, around_um: float, settings: FocusSection, optics: FocusOptics
) -> Stack | None:
    """Frames through focus around a height, with their features; None where nothing shows or no peak is sure."""
    baseline, dof_um = known.view.baseline, optics.dof_um
    peak_um = _peak(device, known, around_um, settings, optics)
    if peak_um is None:
        return None
    heights = peak_um + np.arange(-REACH_DOF, REACH_DOF + STEP_DOF / 2, STEP_DOF) * dof_um
    shots = [
        shoot(device.expose_at(z_um), z_um, baseline, optics.um_per_px)
        for z_um in heights
        if settings.min_z_um <= z_um <= settings.max_z_um
    ]
    peak_um = _fitted(shots, known, dof_um)
    if peak_um is None:
        return None
    features = np.stack([measure_bands(shot.frame, baseline).features() for shot in shots])
    return Stack(np.array([shot.z_um for shot in shots]) - peak_um, features)


def _peak(
    device: FocusDevice, known: Survey, around_um: float, settings: FocusSection, optics: FocusOptics
) -> float | None:
    """Height of best focus from a coarse stack."""
    shots = []
    for step in np.arange(-REACH_DOF, REACH_DOF + 0.5):
        z_um = min(max(around_um + step * optics.dof_um, settings.min_z_um), settings.max_z_um)
        shots.append(shoot(device.expose_at(z_um), z_um, known.view.baseline, optics.um_per_px))
    if is_empty(shots):
        return None
    peak = fit_peak(sharpness_curve(shots, known.view.baseline), known.view.width.um)
    return peak.z_um if peak.reason == "bracketed" else None


def _fitted(shots: Sequence[Shot], known: Survey, dof_um: float) -> float | None:
    """Height of best focus from a fine stack: of the samples near the highest one."""
    curve = sharpness_curve(shots, known.view.baseline)
    top = max(curve, key=lambda sample: sample.value)
    peak = fit_peak([s for s in curve if abs(s.z_um - top.z_um) <= _NEAR_DOF * dof_um], known.view.width.um)
    return peak.z_um if peak.reason == "bracketed" and peak.sigma_um < _SURE_DOF * dof_um else None


def calibrated_curve(stacks: Sequence[Stack], optics: FocusOptics) -> tuple[AxialCurve, AxialQuality]:
    """The curve of stacks that look alike, tempered until fields held back bear out what it claims, and its quality.

    Needs stacks of `FEWEST_FIELDS`.
    """
    alike = familiar_stacks(stacks, optics)
    for temper in _TEMPERS:
        quality = axial_quality(alike, optics, temper)
        if quality.claimed <= _HONEST:
            break
    told = quality.told * len(alike) / len(stacks)
    return (
        replace(learn_curve(alike, optics), temper=temper),
        replace(quality, told=told, strange=len(stacks) - len(alike)),
    )


def familiar_stacks(stacks: Sequence[Stack], optics: FocusOptics) -> list[Stack]:
    """Without those whose frames near focus would be unfamiliar to a judge that knows all others, worst first.

    A single nearly empty field would otherwise double what fields are thought to differ by, and the judge would be
    vague about all of them. In a scan such a field is bracketed.
    """
    alike = list(stacks)
    while len(alike) > max(FEWEST_FIELDS, _KEPT * len(stacks)):
        strangeness = [_strangeness(alike, index, optics) for index in range(len(alike))]
        worst = int(np.argmax(strangeness))
        if strangeness[worst] <= UNFAMILIAR:
            break
        del alike[worst]
    return alike


def _strangeness(stacks: Sequence[Stack], index: int, optics: FocusOptics) -> float:
    """Mean squared distance per feature of one stack's frames near focus from the curve of all others."""
    curve = learn_curve([*stacks[:index], *stacks[index + 1 :]], optics)
    squares = []
    for offset_um, features in zip(stacks[index].offset_um, stacks[index].features, strict=True):
        if abs(offset_um) <= _NEAR_DOF * optics.dof_um:
            mean, _, covariance = curve.at(float(offset_um))
            squares.append(float((features - mean) @ np.linalg.solve(covariance, features - mean)) / features.size)
    return float(np.mean(squares))


def axial_quality(stacks: Sequence[Stack], optics: FocusOptics, temper: float = TEMPER) -> AxialQuality:
    """How well single frames are judged by a curve learned from the other fields; needs `FEWEST_FIELDS`.

    As in a scan, the judge first sees a frame near focus of each of a few fields.
    """
    dof_um = optics.dof_um
    folds = min(len(stacks), _FOLDS)
    told, errors, claims, offsets = [], [], [], []
    for fold in range(folds):
        others = [s for i, s in enumerate(stacks) if i % folds != fold]
        judge = SlideJudge(replace(learn_curve(others, optics), temper=temper))
        for stack in others[:_SHOWN]:
            nearest = int(np.abs(stack.offset_um).argmin())
            judge.learn(stack.features[nearest], float(stack.offset_um[nearest]), _SURE_DOF * dof_um)
        for stack in stacks[fold::folds]:
            for offset, features in zip(stack.offset_um, stack.features, strict=True):
                if abs(offset) <= _JUDGED_DOF * dof_um:
                    found = judge.judge(features, 0.0, _EXPECTED_DOF * dof_um, dof_um / 2)
                    told.append(found.familiar)
                    errors.append(found.offset_um - offset)
                    claims.append(found.sigma_um)
                    offsets.append(offset)
    known = np.array(told) if any(told) else np.ones(len(told), np.bool_)
    error, claim, offset = np.array(errors)[known], np.array(claims)[known], np.array(offsets)[known]
    beyond = np.abs(offset) > dof_um / 2
    return AxialQuality(
        fields=len(stacks),
        strange=0,
        frames=len(told),
        told=float(np.mean(told)),
        median_um=float(np.median(np.abs(error))),
        p95_um=float(np.quantile(np.abs(error), 0.95)),
        wrong_side=float((np.sign(error + offset) != np.sign(offset))[beyond].mean()) if beyond.any() else 1.0,
        within=float((np.abs(error) <= dof_um / 2).mean()),
        claimed=float(np.sqrt(np.mean((error / np.hypot(claim, _SURE_DOF * dof_um)) ** 2))),
    )


def trustworthy(quality: AxialQuality) -> bool:
    """Whether single pictures of this device tell their side, and no more than they can bear out.

    How precisely they do need not be asked: a vague judge settles fewer fields with one picture, and a scan takes more.
    """
    return quality.told >= _TOLD and quality.wrong_side <= _WRONG_SIDE and quality.claimed <= _HONEST
