"""Quantisation before pooling and joining, rectifiers folded into it, and unsigned codes throughout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from engines.cpu_rewrite.graph import Array, Graph

_TOP = 127
_SHIFT = 128
_MOVES = frozenset({"MaxPool", "Concat", "Reshape", "Flatten", "Transpose"})
"""Operators that choose or arrange values: they may act on codes as on the values themselves."""


def hoist(graph: Graph) -> None:
    """Quantise before operators that only choose or arrange values: exact, as rounding keeps the order."""
    merge_twins(graph)
    waiting = list(graph.of("QuantizeLinear"))
    while waiting:
        quantise = waiting.pop()
        mover = graph.maker(quantise.input[0])
        if mover is None or _undone(graph, quantise, mover):
            continue
        if mover.op_type in _MOVES and graph.only_for(mover.output[0], "QuantizeLinear") == [quantise]:
            for place in range(len(_data(mover))):
                source = mover.input[place]
                mover.input[place] = graph.add("QuantizeLinear", [source, *quantise.input[1:]], f"{source}_early_q")
                waiting.append(graph.nodes[-1])
            graph.redirect(quantise.output[0], mover.output[0])
            graph.remove(quantise)
    merge_twins(graph)


def _undone(graph: Graph, quantise: onnx.NodeProto, maker: onnx.NodeProto) -> bool:
    """Take out a quantiser of codes that were only just read, by the same step; whether it was one."""
    if maker.op_type != "DequantizeLinear":
        return False
    pairs = zip(maker.input[1:], quantise.input[1:], strict=True)
    if not all(np.array_equal(graph.constants[a], graph.constants[b]) for a, b in pairs):
        return False
    graph.redirect(quantise.output[0], maker.input[0])
    graph.remove(quantise)
    return True


def merge_twins(graph: Graph) -> None:
    """One quantiser for a tensor where several say the same."""
    seen: dict[tuple[str, bytes, bytes], str] = {}
    for node in graph.of("QuantizeLinear"):
        scale, zero = (graph.constants[name] for name in node.input[1:3])
        key = (node.input[0], scale.tobytes(), zero.tobytes())
        first = seen.setdefault(key, node.output[0])
        if first != node.output[0]:
            graph.redirect(node.output[0], first)
            graph.remove(node)


@dataclass(frozen=True)
class _Group:
    """Quantisers whose codes meet (in a Concat), with everything that reads those codes as numbers."""

    sources: tuple[onnx.NodeProto, ...]
    readers: tuple[onnx.NodeProto, ...]


def to_unsigned(graph: Graph) -> None:
    """Make int8 activations uint8, each code standing for the same value as before.

    After a rectifier: zero point 0, and the rectifier goes, since an unsigned code cannot be negative; codes above the
    file's highest (127, or the top of a Clip) are cut on the codes, which costs little. Elsewhere: shifted by 128.
    """
    for group in _groups(graph):
        tops = [_top_code(graph, source) for source in group.sources]
        rectified = all(top is not None for top in tops)
        zero = graph.constant("zero_code", np.array(0 if rectified else _SHIFT, np.uint8))
        for node in (*group.sources, *group.readers):
            node.input[2] = zero
        if rectified:
            for source, top in zip(group.sources, tops, strict=True):
                _absorb(graph, source, np.array(top, np.uint8))


def _absorb(graph: Graph, quantise: onnx.NodeProto, top: Array) -> None:
    """Take out the rectifier before a quantiser to unsigned codes; codes above `top` become `top`."""
    rectifier = graph.maker(quantise.input[0])
    if rectifier is not None:
        quantise.input[0] = rectifier.input[0]
        graph.remove(rectifier)
    codes = quantise.output[0]
    readers = graph.users(codes)
    limits = [graph.constant("lowest_code", np.array(0, np.uint8)), graph.constant("highest_code", top)]
    cut = graph.add("Clip", [codes, *limits], f"{codes}_cut")
    for reader in readers:
        reader.input[:] = [cut if name == codes else name for name in reader.input]


def _groups(graph: Graph) -> list[_Group]:
    """All int8 activations, grouped where they must share a type."""
    left = [node for node in graph.of("QuantizeLinear") if graph.constants[node.input[2]].dtype == np.int8]
    groups = []
    while left:
        tensors = {left[0].output[0]}
        while True:
            touched = [n for n in graph.nodes if n.op_type in _MOVES and tensors.intersection((*n.input, *n.output))]
            wider = tensors.union(*({*n.output, *_data(n)} for n in touched)) if touched else tensors
            if wider == tensors:
                break
            tensors = wider
        sources = tuple(node for node in left if node.output[0] in tensors)
        readers = tuple(node for node in graph.of("DequantizeLinear") if node.input[0] in tensors)
        left = [node for node in left if not any(node is source for source in sources)]
        groups.append(_Group(sources, readers))
    return groups


def _data(node: onnx.NodeProto) -> list[str]:
    return list(node.input) if node.op_type == "Concat" else list(node.input[:1])


def _top_code(graph: Graph, quantise: onnx.NodeProto) -> int | None:
    """Highest code behind a rectifier that nobody but `quantise` reads; None where there is no such rectifier."""
    rectifier = graph.maker(quantise.input[0])
    if rectifier is None or len(graph.only_for(quantise.input[0], "QuantizeLinear")) != 1:
        return None
    top = _top(graph, rectifier)
    return None if top is None else int(min(_TOP, np.rint(top / float(graph.constants[quantise.input[1]]))))


def _top(graph: Graph, node: onnx.NodeProto) -> float | None:
    """Largest value that a rectifier lets pass (infinite for Relu); None when the node is none."""
    if node.op_type == "Relu":
        return float("inf")
    if node.op_type != "Clip":
        return None
    lowest, highest = ((*node.input[1:], "", "")[place] for place in (0, 1))
    if lowest not in graph.constants or float(graph.constants[lowest]) != 0.0:
        return None
    if not highest:
        return float("inf")
    return float(graph.constants[highest]) if highest in graph.constants else None
