"""Classifiers that must fail: what a network could cheat with tells nothing of the class.

A malignant cell is known by its shape and texture. If the mean colour of a cell, or how far it lies from the focal
plane, told malignant from benign, a network trained on these slides would learn the renderer and not the disease.
Source of the rule and its limits: domain reference 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.training.metrics import auroc
from engines.training.twin_tiles import Tile

Features = Callable[[Tile], NDArray[np.float64]]
COLOUR_LIMIT, BLUR_LIMIT = 0.60, 0.55
_RIDGE = 1e-2
_NEWTON_STEPS = 60


@dataclass(frozen=True)
class Control:
    """AUROC that one kind of cheating reaches on `objects` objects, and the most that is allowed."""

    name: str
    auroc: float
    limit: float
    objects: int

    @property
    def passed(self) -> bool:
        """Whether the cheat fails, as it should."""
        return self.auroc <= self.limit


def colour_features(tile: Tile) -> NDArray[np.float64]:
    """Logarithm of the mean R, G, B in the box of every object, (N, 3)."""
    high, wide = tile.picture.shape[:2]
    means = []
    for x, y, w, h in tile.places:
        top, bottom = max(0, round(y - h / 2)), min(high, round(y + h / 2) + 1)
        left, right = max(0, round(x - w / 2)), min(wide, round(x + w / 2) + 1)
        means.append(tile.picture[top:bottom, left:right].reshape(-1, 3).mean(axis=0) + 1.0)
    return np.log(np.array(means, np.float64).reshape(-1, 3))


def blur_features(tile: Tile) -> NDArray[np.float64]:
    """Distance of every object from the focal plane and its square, (N, 2)."""
    return np.stack([tile.off_focus_um, tile.off_focus_um**2], axis=1)


def run_controls(tiles_by_slide: Iterable[Sequence[Tile]]) -> list[Control]:
    """Both controls over the named objects of some slides; label 0 is the target.

    Each is trained on every second slide and tested on the others, both ways round; the mean of both is reported.
    """
    slides = [list(tiles) for tiles in tiles_by_slide]
    return [
        _control("colour and mean alone", colour_features, COLOUR_LIMIT, slides),
        _control("blur alone", blur_features, BLUR_LIMIT, slides),
    ]


def _control(name: str, features: Features, limit: float, slides: Sequence[Sequence[Tile]]) -> Control:
    halves = [_gather(features, slides[start::2]) for start in (0, 1)]
    values = []
    for (x, y), (x_test, y_test) in (halves, halves[::-1]):
        middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
        weights = logistic_regression((x - middle) / spread, y)
        values.append(auroc((x_test - middle) / spread @ weights[:-1], y_test))
    return Control(name, float(np.mean(values)), limit, sum(len(y) for _, y in halves))


def _gather(features: Features, slides: Sequence[Sequence[Tile]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rows, targets = [], []
    for tile in (tile for tiles in slides for tile in tiles):
        named = tile.labels >= 0
        rows.append(features(tile)[named])
        targets.append(tile.labels[named] == 0)
    return np.concatenate(rows), np.concatenate(targets)


def logistic_regression(x: NDArray[np.float64], y: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Weights (features + 1,) of a logistic regression of y (N,) on x (N, features), the constant last.

    Both classes weigh alike; a little ridge keeps separable data finite. Damped Newton steps.
    """
    design = np.c_[x, np.ones(len(x))]
    share = np.where(y, 0.5 / max(1, int(y.sum())), 0.5 / max(1, int((~y).sum()))) * len(y)
    weights = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = 1.0 / (1.0 + np.exp(-design @ weights))
        curve = design.T @ (design * (share * p * (1.0 - p))[:, None]) + _RIDGE * np.eye(len(weights))
        weights -= 0.5 * np.linalg.solve(curve, design.T @ (share * (p - y)))
    return weights
