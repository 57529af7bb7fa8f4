"""What each assay's network looks at: labels, scale, bump widths, and how twin objects are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.twin.slide import (
    Content,
    Interval,
    SceneObject,
    SerousSettings,
    Slide,
    SlideSettings,
    SputumSettings,
    make_slide,
)
from engines.package import Label, Scale
from engines.training.architecture import AFB_450_STAGES, AFB_STAGES, SEROUS_STAGES, Stage
from engines.training.twin_tiles import BACKGROUND, NOT_TARGET, UNCERTAIN, LabelOf, Microscope

_NUCLEATED = frozenset({"lymphocyte", "neutrophil", "eosinophil", "macrophage", "mesothelial", "reactive", "malignant"})
_SHARP_DEPTHS = {"serous": 1.5, "afb": 1.0}  # nearer to the focal plane than this, an object must be seen


@dataclass(frozen=True)
class Subject:
    """One network to train, from the trainer's side.

    name: of the package it becomes. labels: in the order of the network's channels. match_um: how near a detection
    must lie to an object, from the object's size. overlap: objects nearer to each other than this share of their size
    are not taught apart. bump_px: width of the training bump from an object's size in
    pixels. draw_slide(seed, rate): a twin slide whose share (serous) or density per mm² (afb) of targets is `rate`;
    pool_slide: the same with more of what is easily mistaken, for training. pool_rate(rng): a rate for training.
    """

    name: str
    assay: str
    labels: tuple[Label, ...]
    scale: Scale
    microscope: Microscope
    stages: Sequence[Stage]
    label_of: LabelOf
    bump_px: Callable[[float], float]
    match_um: Callable[[float], float]
    overlap: float
    draw_slide: Callable[[int, float], Slide]
    pool_slide: Callable[[int, float], Slide]
    pool_rate: Callable[[np.random.Generator], float]

    @property
    def stride(self) -> int:
        """Pixels between cells of the network's output."""
        return int(np.prod([stage.stride for stage in self.stages]))

    @property
    def separation_px(self) -> float:
        """Pixels between two objects of the first label, which is the target."""
        return self.labels[0].separation_um / self.microscope.um_per_px


def _serous_label(malignant: int, benign: int, depth_um: float) -> LabelOf:
    def label(item: SceneObject, distance_um: float) -> int:
        if item.kind not in _NUCLEATED:
            return BACKGROUND
        if distance_um > _SHARP_DEPTHS["serous"] * depth_um:
            return UNCERTAIN if item.malignant else NOT_TARGET
        return malignant if item.malignant else benign

    return label


def _afb_label(depth_um: float) -> LabelOf:
    def label(item: SceneObject, distance_um: float) -> int:
        if item.kind != "afb":
            return BACKGROUND
        return 0 if distance_um <= _SHARP_DEPTHS["afb"] * depth_um else UNCERTAIN

    return label


def _serous_slide(seed: int, rate: float) -> Slide:
    return make_slide(SlideSettings(content=Content.SEROUS, serous=SerousSettings(malignant=rate)), seed)


def _hard_serous_slide(seed: int, rate: float) -> Slide:
    """Crowded with what a malignant cell is mistaken for: reactive cells, and clusters of benign ones."""
    content = SerousSettings(
        malignant=rate,
        reactive=Interval(low=0.1, high=0.5),
        benign_clustered=0.25,
        nucleated_per_field=Interval(low=120.0, high=700.0),
    )
    return make_slide(SlideSettings(content=Content.SEROUS, serous=content), seed)


def _hard_afb_slide(seed: int, rate: float) -> Slide:
    content = SputumSettings(afb_per_mm2=rate, confusers_per_mm2=Interval(low=100.0, high=1500.0))
    return make_slide(SlideSettings(content=Content.SPUTUM, sputum=content), seed)


def _afb_slide(seed: int, rate: float) -> Slide:
    return make_slide(SlideSettings(content=Content.SPUTUM, sputum=SputumSettings(afb_per_mm2=rate)), seed)


def _serous_rate(rng: np.random.Generator) -> float:
    """A third of the slides benign, the others with 10 to 50 % malignant cells.

    A network that rarely sees one learns nothing about it; how rare they are is for the operating point.
    """
    return 0.0 if rng.random() < 0.33 else float(rng.uniform(0.1, 0.5))


def _afb_rate(rng: np.random.Generator) -> float:
    return 0.0 if rng.random() < 0.3 else float(np.exp(rng.uniform(np.log(300.0), np.log(6000.0))))


_SCOPE_450 = Microscope(um_per_px=0.293, na=0.50)
_SCOPE_900 = Microscope(um_per_px=0.1465, na=0.75)

SEROUS = Subject(
    name="serous-cytology",
    assay="serous",
    labels=(
        Label(name="malignant", target=True, box_um=(24.0, 24.0), separation_um=8.0),
        Label(name="benign", target=False, box_um=(16.0, 16.0), separation_um=6.0),
    ),
    scale=Scale(native_um_per_px=0.293, min_um_per_px=0.26, max_um_per_px=0.33),
    microscope=_SCOPE_450,
    stages=SEROUS_STAGES,
    label_of=_serous_label(0, 1, _SCOPE_450.depth_um),
    bump_px=lambda size: float(np.clip(0.13 * size, 7.0, 14.0)),
    match_um=lambda size: max(4.0, 0.4 * size),
    overlap=0.4,
    draw_slide=_serous_slide,
    pool_slide=_hard_serous_slide,
    pool_rate=_serous_rate,
)

AFB = Subject(
    name="afb-zn",
    assay="afb",
    labels=(Label(name="afb", target=True, box_um=(4.4, 4.4), separation_um=0.7),),
    scale=Scale(native_um_per_px=0.1465, min_um_per_px=0.12, max_um_per_px=0.18),
    microscope=_SCOPE_900,
    stages=AFB_STAGES,
    label_of=_afb_label(_SCOPE_900.depth_um),
    bump_px=lambda _: 3.0,
    match_um=lambda size: max(1.5, 0.5 * size),
    overlap=0.2,  # bacilli lie side by side, and each counts
    draw_slide=_afb_slide,
    pool_slide=_hard_afb_slide,
    pool_rate=_afb_rate,
)

AFB_450 = replace(
    AFB,
    name="afb-zn-450",
    scale=Scale(native_um_per_px=0.293, min_um_per_px=0.26, max_um_per_px=0.33),
    microscope=_SCOPE_450,
    stages=AFB_450_STAGES,
    label_of=_afb_label(_SCOPE_450.depth_um),
    bump_px=lambda _: 3.0,
)

SUBJECTS = {subject.name: subject for subject in (SEROUS, AFB, AFB_450)}
"""By name of the package."""
