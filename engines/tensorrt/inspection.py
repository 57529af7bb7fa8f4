"""How much of an engine really runs in INT8: misplaced quantisation leaves layers in float, silently and slowly."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_INT8 = re.compile(r"\bint8\b", re.IGNORECASE)
"""And not UINT8: that is the picture."""


@dataclass(frozen=True)
class LayerSummary:
    """layers: all that the engine runs. int8: those that read an INT8 tensor."""

    layers: int
    int8: int

    def __str__(self) -> str:
        return f"{self.int8} of {self.layers} layers INT8"


def summarise(report: str) -> LayerSummary:
    """Counted from the engine inspector's JSON: {"Layers": [{"Inputs": [{"Format/Datatype": ...}]}]}.

    Layers of an engine that was built without detailed profiling are bare names; then nothing counts as INT8.
    Raises ValueError where it is no such report.
    """
    found = json.loads(report)
    layers = found.get("Layers") if isinstance(found, dict) else None
    if not isinstance(layers, list):
        raise ValueError("the inspector's report has no list of layers")
    return LayerSummary(len(layers), sum(_reads_int8(layer) for layer in layers))


def _reads_int8(layer: object) -> bool:
    inputs = layer.get("Inputs", []) if isinstance(layer, dict) else []
    return any(_INT8.search(str(one.get("Format/Datatype", ""))) for one in inputs if isinstance(one, dict))
