"""Real crops that no network was trained on: ranking by group of source picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.gates import Gate, Scores, auroc_gate, sensitivity_gate
from engines.metrics import auroc, auroc_interval, average_precision
from engines.training.assess.objects import Interval
from engines.training.crops import CropSet, to_native
from engines.training.fields import Network
from engines.training.subjects import Subject

_SIDE = 64
_REACH = 1
_DRAWS = 1000
FALSE_POSITIVE_RATE = 0.01
"""At which INT8 and FP32 are asked for their sensitivity."""


def crop_scores(network: Network, subject: Subject, crops: CropSet) -> NDArray[np.float64]:
    """One score for each crop: the highest probability within a cell of its centre, (N,)."""
    middle = _SIDE // 2 // subject.stride
    area = slice(middle - _REACH, middle + _REACH + 1)
    native = subject.scale.native_um_per_px
    return np.array(
        [float(network.probabilities(to_native(crop, native, _SIDE))[0, area, area].max()) for crop in crops.crops]
    )


def assess_crops(scores: NDArray[np.float64], crops: CropSet, threshold: float) -> dict[str, object]:
    """Figures of `scores` (N,) on `crops`; intervals by source picture."""
    positive = _positive(crops)
    groups = np.array([crop.group for crop in crops.crops], np.int64)
    low, high = auroc_interval(scores, positive, groups, np.random.default_rng(0), draws=_DRAWS)
    return {
        "crops": len(crops.crops),
        "sources": int(np.unique(groups).size),
        "unreadable": list(crops.unreadable),
        "auroc": Interval(auroc(scores, positive), low, high).as_json(),
        "average_precision": round(average_precision(scores, positive), 4),
        "found_at_threshold": round(float((scores[positive] >= threshold).mean()), 4),
        "false_at_threshold": round(float((scores[~positive] >= threshold).mean()), 4),
    }


def crop_gates(fp32: NDArray[np.float64], int8: NDArray[np.float64], crops: CropSet) -> list[Gate]:
    """INT8 against FP32 by their scores (N,) on `crops`.

    Twin slides alone do not tell: real pictures wake more of a network, and may be clipped by the scales of others.
    """
    scores = Scores(fp32, int8, _positive(crops))
    gates = (auroc_gate(scores), sensitivity_gate(scores, FALSE_POSITIVE_RATE))
    return [replace(gate, name=f"crops_{gate.name}") for gate in gates]


def _positive(crops: CropSet) -> NDArray[np.bool_]:
    return np.array([crop.positive for crop in crops.crops], np.bool_)
