"""Scales for the convolutions that end in an Add: the file leaves them float, its hints say what they were."""

from __future__ import annotations

import json
import math

import numpy as np

from engines.cpu_rewrite.graph import Graph
from engines.errors import BadPackage

BRANCH_KEY = "cpu_branch_scales"
"""Metadata key of the hints: a JSON object, tensor name → step of its INT8 form."""


def quantise_branches(graph: Graph) -> None:
    """Quantise each hinted tensor on its way to whoever reads it. Raises BadPackage when the hints are malformed."""
    for tensor, scale in read_hints(graph.metadata).items():
        maker = graph.maker(tensor)
        if maker is None or not graph.users(tensor) or graph.only_for(tensor, "QuantizeLinear"):
            continue
        readers = graph.users(tensor)
        tail = [
            graph.constant(f"{tensor}_branch_scale", np.array(scale, np.float32)),
            graph.constant(f"{tensor}_branch_zero", np.array(0, np.int8)),
        ]
        codes = graph.add("QuantizeLinear", [tensor, *tail], f"{tensor}_branch_q")
        values = graph.add("DequantizeLinear", [codes, *tail], f"{tensor}_branch_dq")
        for reader in readers:
            reader.input[:] = [values if name == tensor else name for name in reader.input]


def read_hints(metadata: dict[str, str]) -> dict[str, float]:
    """Tensor name → step, from a model's metadata; empty without hints. Raises BadPackage when they are malformed."""
    try:
        hints = json.loads(metadata.get(BRANCH_KEY, "{}"))
        scales = {str(name): float(scale) for name, scale in hints.items()}
    except (json.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise _malformed(str(error)) from error
    for name, scale in scales.items():
        if not (math.isfinite(scale) and scale > 0):
            raise _malformed(f"the step of {name!r} is {scale}")
    return scales


def _malformed(why: str) -> BadPackage:
    return BadPackage(
        f"The network's metadata {BRANCH_KEY} is not a table of steps: {why}.",
        remedy="Quantise the network again with this release, or remove the entry.",
    )
