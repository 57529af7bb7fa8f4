"""Weights and biases of an INT8 network, fitted layer by layer to what the FP32 network says on real pictures.

From the picture to the answer, each convolution is fitted to the quantised inputs it will get: least squares against
the FP32 output (what earlier layers lost is made up for where it can be), then rounding column by column, each
column's rounding error made up for by those not yet rounded. The bias comes last and takes what is left: that is
bias correction. Sources: Frantar et al., Optimal Brain Compression (NeurIPS 2022) and GPTQ (ICLR 2023); Nagel et al.,
Data-Free Quantization through Weight Equalization and Bias Correction (ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from engines.activation_scales import LEVELS, run_on
from engines.calibration import windows
from engines.float_network import constants_of, open_float
from engines.qdq_view import View, attribute

_SIDE = 256
_PICTURES = 32
_PLACES = 1024
_DAMPING = 0.01
_SEED = 7

Floats = NDArray[np.float64]
Planes = NDArray[np.float32]


@dataclass(frozen=True)
class Moments:
    """Sums over places of a layer's quantised inputs X (with a one, for the bias) and its FP32 outputs Y.

    gram: X^T X, (K + 1, K + 1); cross: X^T Y, (K + 1, outputs).
    """

    gram: Floats
    cross: Floats


def fit_weights(
    quantised: onnx.ModelProto, full: onnx.ModelProto, pictures: Sequence[NDArray[np.uint8]]
) -> onnx.ModelProto:
    """`quantised` with the weights and biases of its plain convolutions fitted to `full` on `pictures`.

    full: the FP32 network `quantised` was made of, tensors of the same names. Scales stay as they are. Left alone are
    grouped convolutions, matrix products, and convolutions without a bias or with weights that others read too. Looked
    at are a thousand places in a piece of each of at most 32 pictures.
    """
    result = onnx.ModelProto()
    result.CopyFrom(quantised)
    floats = constants_of(full)
    origin = {node.output[0]: node for node in full.graph.node}
    for node in [node for node in result.graph.node if _is_plain(View.of(result), node)]:
        view = View.of(result)
        data, weights = (view.producer[name] for name in node.input[:2])
        weight, bias = (floats[name].astype(np.float64) for name in origin[node.output[0]].input[1:3])
        steps = view.constants[weights.input[1]].astype(np.float64)
        codes, offset = fit(_moments(full, result, node, pictures), weight, bias, steps)
        unit = float(view.constants[data.input[1]]) * steps
        _replace(result, weights.input[0], codes)
        _replace(result, node.input[2], (np.rint(offset / unit) * unit).astype(np.float32))
    return result


def fit(moments: Moments, weight: Floats, bias: Floats, steps: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Codes (outputs, ...) in `steps` (outputs,) and bias (outputs,) of least square error over the places.

    weight (outputs, ...), bias (outputs,): of the FP32 layer; where the places say nothing, the result stays near them.
    """
    rows = np.concatenate([weight.reshape(len(weight), -1), bias[:, None]], axis=1)
    size = rows.shape[1] - 1
    power, places = np.diag(moments.gram)[:-1], float(moments.gram[-1, -1])
    damping = np.full(size + 1, _DAMPING * max(float(power.mean()), 1e-9 * places))
    damping[-1] = 1e-9 * places
    damped = moments.gram + np.diag(damping)
    order = np.append(np.argsort(-power, kind="stable"), size)
    wanted = np.linalg.solve(damped, moments.cross + damping[:, None] * rows.T).T[:, order]
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    codes = np.zeros((len(rows), size))
    for column in range(size):
        code = np.clip(np.rint(wanted[:, column] / steps), -LEVELS, LEVELS)
        error = (wanted[:, column] - code * steps) / upper[column, column]
        wanted[:, column + 1 :] -= np.outer(error, upper[column, column + 1 :])
        codes[:, order[column]] = code
    return codes.reshape(weight.shape).astype(np.int8), wanted[:, -1]


def patches(planes: Planes, node: onnx.NodeProto, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Planes:
    """What convolution `node` reads of `planes` (C, H, W) for its outputs at `rows`, `cols` (N,): (N, C * h * w)."""
    top, left, bottom, right = _integers(node, "pads", (0, 0, 0, 0))
    strides, dilations = _integers(node, "strides", (1, 1)), _integers(node, "dilations", (1, 1))
    kernel = _integers(node, "kernel_shape", ())
    padded = np.pad(planes, ((0, 0), (top, bottom), (left, right)))
    down = rows[:, None] * strides[0] + dilations[0] * np.arange(kernel[0])
    across = cols[:, None] * strides[1] + dilations[1] * np.arange(kernel[1])
    read = padded[:, down[:, :, None], across[:, None, :]]
    return np.asarray(read.transpose(1, 0, 2, 3).reshape(len(rows), -1))


def _moments(
    full: onnx.ModelProto, quantised: onnx.ModelProto, node: onnx.NodeProto, pictures: Sequence[NDArray[np.uint8]]
) -> Moments:
    """Of convolution `node`, at places drawn at random."""
    wanted, read = node.output[0], node.input[0]
    before, after = open_float(_upto(full, wanted)), open_float(_upto(quantised, read))
    rng = np.random.default_rng(_SEED)
    gram, cross = np.zeros((1, 1)), np.zeros((1, 1))
    for piece in _pieces(before.get_inputs()[0].shape, pictures, rng):
        answer, planes = run_on(before, [wanted], piece)[0][0], run_on(after, [read], piece)[0][0]
        height, width = answer.shape[1:]
        chosen = rng.choice(height * width, min(height * width, _PLACES), replace=False)
        rows, cols = np.divmod(chosen, width)
        given = np.pad(patches(planes, node, rows, cols), ((0, 0), (0, 1)), constant_values=1.0)
        gram = gram + given.T @ given
        cross = cross + given.T @ answer[:, rows, cols].T
    return Moments(gram, cross)


def _pieces(
    shape: Sequence[int | str | None], pictures: Sequence[NDArray[np.uint8]], rng: np.random.Generator
) -> Iterator[NDArray[np.uint8]]:
    """A piece of each of at most 32 pictures, spread over all of them; of the network's own size where it has one."""
    height, width = shape[1:3]
    fixed = isinstance(height, int) and isinstance(width, int)
    size = (int(height), int(width)) if isinstance(height, int) and isinstance(width, int) else (_SIDE, _SIDE)
    for picture in pictures[:: -(-len(pictures) // _PICTURES)]:
        cut = list(windows(picture, *size, exact=fixed))
        yield cut[int(rng.integers(len(cut)))]


def _is_plain(view: View, node: onnx.NodeProto) -> bool:
    """A convolution of one group that alone reads its quantised weights and its bias."""
    if node.op_type != "Conv" or len(node.input) < 3 or not node.input[2]:
        return False
    usual = attribute(node, "auto_pad", b"NOTSET") == b"NOTSET" and len(_integers(node, "kernel_shape", ())) == 2
    alone = all(len(view.readers(name)) == 1 for name in node.input[1:])
    dequantised = all(view.made_by(name, "DequantizeLinear") for name in node.input[:2])
    return usual and alone and dequantised and attribute(node, "group", 1) == 1


def _upto(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """The part of `model` that makes `tensor`, which is its one output."""
    needed, kept = {tensor}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    constants = [i for i in model.graph.initializer if i.name in needed]
    port = helper.make_empty_tensor_value_info(tensor)
    graph = helper.make_graph(kept[::-1], model.graph.name, model.graph.input, [port], constants)
    part = helper.make_model(graph, opset_imports=model.opset_import)
    part.ir_version = model.ir_version
    return part


def _integers(node: onnx.NodeProto, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    return next((tuple(a.ints) for a in node.attribute if a.name == name), default)


def _replace(model: onnx.ModelProto, name: str, values: NDArray[np.generic]) -> None:
    stored = next(i for i in model.graph.initializer if i.name == name)
    stored.CopyFrom(numpy_helper.from_array(values, name))
