"""The rules about where Q/DQ pairs stand; each is told in `engines.qdq_rules`."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from engines.cpu_rewrite.branches import read_hints
from engines.qdq_view import MOVES, WEIGHTED, View

_RECTIFIERS = ("Relu", "Clip")
_HARD = ("HardSwish", "HardSigmoid")


def both_operands(view: View) -> Iterator[str]:
    """4: a weighted operator has both operands quantised or neither, and some have both."""
    counts = []
    for node in view.nodes(*WEIGHTED):
        quantised = [view.made_by(name, "DequantizeLinear") for name in view.operands(node)]
        counts.append(sum(quantised))
        if counts[-1] == 1:
            yield f"{node.name}: both the input and the weights of a {node.op_type} must be quantised, or neither"
    if 2 not in counts:
        yield "no Conv, Gemm or MatMul is quantised"


def no_quantised_output(view: View) -> Iterator[str]:
    """5: what a weighted operator gives is quantised only where a weighted operator or an Add's short cut needs it."""
    hinted = set(read_hints(_metadata(view)))
    for node in view.nodes(*WEIGHTED):
        for reader, name in view.through_quantisation(node.output[0]):
            wanted = reader.op_type in {*WEIGHTED, *MOVES}
            short_cut = reader.op_type == "Add" and _others_float(view, reader, name)
            if not (wanted or short_cut or node.output[0] in hinted):
                yield f"{node.name}: its output is quantised before {reader.op_type} {reader.name}"


def _others_float(view: View, add: onnx.NodeProto, name: str) -> bool:
    return not any(view.made_by(other, "DequantizeLinear") for other in add.input if other != name)


def no_sandwich(view: View) -> Iterator[str]:
    """6: no rectifier between quantised tensors."""
    for node in view.nodes(*_RECTIFIERS):
        if view.made_by(node.input[0], "DequantizeLinear"):
            yield f"{node.name}: an activation function between quantised tensors keeps it from being fused"


def residual(view: View) -> Iterator[str]:
    """7: beside a convolution's result, the other operand of an Add is quantised."""
    for node in view.nodes("Add"):
        if any(name in view.constants for name in node.input):
            continue
        own = [view.made_by(name, *WEIGHTED) for name in node.input]
        quantised = [view.made_by(name, "DequantizeLinear") for name in node.input]
        if any(own) and not any(quantised):
            yield f"{node.name}: the short cut into an Add must be quantised, or the Add cannot join the convolution"


def gates(view: View) -> Iterator[str]:
    """13: squeeze-and-excitation and hard activations stay out of quantisation."""
    for node in view.nodes(*_HARD):
        after = [reader for reader in view.readers(node.output[0]) if reader.op_type == "QuantizeLinear"]
        if view.made_by(node.input[0], "DequantizeLinear") or after:
            yield f"{node.name}: {node.op_type} must not be quantised"
    for node in view.nodes("Mul"):
        if any(name in view.constants for name in node.input):
            continue
        if any(_quantised_gate(view, name) for name in node.input):
            yield f"{node.name}: a factor that the network computes itself (squeeze-and-excitation) must stay float"


def _quantised_gate(view: View, tensor: str) -> bool:
    """Whether anything is quantised between `tensor` and the global pooling it comes from, if it does."""
    if view.made_by(tensor, "DequantizeLinear"):
        return True
    seen, waiting, pooled, quantised = {tensor}, [tensor], False, False
    while waiting:
        node = view.producer.get(waiting.pop())
        if node is None:
            continue
        if node.op_type in {"GlobalAveragePool", "ReduceMean"}:
            pooled = True
            continue
        quantised |= node.op_type in {"QuantizeLinear", "DequantizeLinear"}
        fresh = [name for name in node.input if name not in seen]
        seen.update(fresh)
        waiting += fresh
    return pooled and quantised


def dead(view: View) -> Iterator[str]:
    """14: no Q or DQ whose result nobody reads."""
    outputs = {port.name for port in view.model.graph.output}
    for node in view.nodes("QuantizeLinear", "DequantizeLinear"):
        if node.output[0] not in outputs and not view.readers(node.output[0]):
            yield f"{node.name}: its output is used by nobody"


def one_scale(view: View) -> Iterator[str]:
    """15: an operator that only moves values has one scale before and behind."""
    for node in view.nodes(*MOVES):
        read = view.operands(node)
        before = [view.producer[name] for name in read if view.made_by(name, "DequantizeLinear")]
        after = [reader for reader in view.readers(node.output[0]) if reader.op_type == "QuantizeLinear"]
        steps = {_bytes(view, pair) for pair in (*before, *(after if before else []))}
        if len(steps) > 1:
            yield f"{node.name}: {node.op_type} only moves values; its quantised inputs and output need one scale"
        elif before and len(before) < len(read):
            yield f"{node.name}: either all inputs of {node.op_type} are quantised or none"


def _bytes(view: View, pair: onnx.NodeProto) -> bytes:
    step = view.step(pair)
    return b"" if step is None else step.tobytes()


def _metadata(view: View) -> dict[str, str]:
    return {entry.key: entry.value for entry in view.model.metadata_props}
