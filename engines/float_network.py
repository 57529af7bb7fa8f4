"""An FP32 ONNX as quantisation wants it: opset both runtimes read, constants folded, batch normalisation in the Conv.

Folding is left to ONNX Runtime's basic optimiser, run offline: it keeps to standard operators.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import helper, inliner, numpy_helper, version_converter

from engines.errors import EngineError
from engines.ort_errors import ORT_ERRORS

OPSETS = range(13, 18)
_TARGET_OPSET = OPSETS.stop - 1
_STANDARD = frozenset({"", "ai.onnx"})
_QUANTISED = frozenset({
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger",
    "MatMulInteger",
})  # fmt: skip
_EXPORT = "Export an FP32 ONNX with constants folded (opset 13 to 17, standard operators)."


def parse(data: bytes, where: str) -> onnx.ModelProto:
    """The model in `data`. Raises EngineError, naming `where`, when it is not an ONNX."""
    try:
        model = onnx.load_from_string(data)
    except DecodeError as error:
        raise EngineError(f"{where} is not an ONNX file.", remedy=_EXPORT) from error
    if not model.graph.node or not model.graph.output:
        raise EngineError(f"{where} is not an ONNX file, or holds no network.", remedy=_EXPORT)
    return model


def prepare(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network folded, at opset 13 to 17, every node named.

    Raises EngineError when it is already quantised, uses operators outside the standard, or cannot be read.
    """
    model = inliner.inline_local_functions(model) if model.functions else model
    _require_float(model)
    return _fold(_at_opset(_without_constant_inputs(model)))


def constants_of(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """The values of all initializers by name."""
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def open_float(model: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session on the processor. Raises EngineError when ONNX Runtime does not take the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except ORT_ERRORS as error:
        raise EngineError(f"ONNX Runtime cannot read the network: {first_line(error)}", remedy=_EXPORT) from error


def first_line(error: Exception) -> str:
    """What a runtime says first, shortened."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _require_float(model: onnx.ModelProto) -> None:
    quantised = sorted({node.op_type for node in model.graph.node if node.op_type in _QUANTISED})
    if quantised:
        raise EngineError(
            f"The network is already quantised ({', '.join(quantised)}).", remedy="Give the FP32 ONNX it was made from."
        )
    foreign = sorted({f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain not in _STANDARD})
    if foreign:
        raise EngineError(
            f"The network uses operators outside the ONNX standard: {', '.join(foreign)}.", remedy=_EXPORT
        )
    halves = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    half = sorted(i.name for i in model.graph.initializer if i.data_type in halves)
    if half:
        raise EngineError(f"The network has half-precision weights (for example {half[0]}).", remedy=_EXPORT)


def _without_constant_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights that are also listed as inputs (as old exporters do) are not constants to a runtime."""
    constant = {i.name for i in model.graph.initializer}
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.input[:]
    result.graph.input.extend(port for port in model.graph.input if port.name not in constant)
    return result


def _at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    versions = [entry.version for entry in model.opset_import if entry.domain in _STANDARD]
    if len(versions) != 1:
        raise EngineError("The network does not say which opset it uses.", remedy=_EXPORT)
    try:
        if versions[0] not in OPSETS:
            model = version_converter.convert_version(model, _TARGET_OPSET)
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, version_converter.ConvertError, RuntimeError) as error:
        raise EngineError(
            f"The network (opset {versions[0]}) is not valid at opset {_TARGET_OPSET}: {first_line(error)}",
            remedy=_EXPORT,
        ) from error
    return model


def _fold(model: onnx.ModelProto) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except ORT_ERRORS as error:
            raise EngineError(f"ONNX Runtime cannot read the network: {first_line(error)}", remedy=_EXPORT) from error
        folded = onnx.load(path)
    for index, node in enumerate(folded.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    del folded.opset_import[:]
    folded.opset_import.extend(entry for entry in model.opset_import if entry.domain in _STANDARD)
    result = helper.make_model(folded.graph, opset_imports=folded.opset_import, producer_name="cytoscan")
    result.ir_version = min(8, folded.ir_version)
    return result
