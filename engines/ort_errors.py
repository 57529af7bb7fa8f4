"""What ONNX Runtime raises when it cannot read or run a network: classes without a common base."""

from __future__ import annotations

from onnxruntime.capi import onnxruntime_pybind11_state as state

ORT_ERRORS = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NotImplemented,
    state.RuntimeException,
)
