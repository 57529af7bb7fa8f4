"""What an FP32 ONNX reads and gives, or why it cannot serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import TensorProto

from engines.errors import EngineError

_WANTED = (
    "Export the network for one RGB picture: float NCHW (1, 3, H, W), or uint8 NHWC (1, H, W, 3) with normalisation "
    "inside."
)


@dataclass(frozen=True)
class Ports:
    """The one input and the chosen output. height, width: None where any size is declared."""

    input: str
    pixels: Literal["float NCHW", "uint8 NHWC"]
    height: int | None
    width: int | None
    output: str


def describe(model: onnx.ModelProto, output: str | None = None) -> Ports:
    """Input and output of `model`; `output` chooses one of several.

    Raises EngineError when the input is not one RGB picture of known layout, or the output is not clear.
    """
    weights = {constant.name for constant in model.graph.initializer}
    ports = [port for port in model.graph.input if port.name not in weights]
    if len(ports) != 1:
        names = ", ".join(port.name for port in ports) or "none"
        raise EngineError(f"The network has {len(ports)} inputs ({names}), not one.", remedy=_WANTED)
    port = ports[0]
    kind = port.type.tensor_type
    if not kind.HasField("shape"):
        raise EngineError(f"The input {port.name!r} has no fixed number of dimensions.", remedy=_WANTED)
    sizes = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim]
    if len(sizes) != 4:
        raise EngineError(f"The input {port.name!r} has {len(sizes)} dimensions, not 4.", remedy=_WANTED)
    if sizes[0] not in {1, None}:
        raise EngineError(f"The input {port.name!r} is fixed to batches of {sizes[0]}.", remedy=_WANTED)
    chosen = _output(model, output)
    if kind.elem_type == TensorProto.FLOAT:
        _require_three(port.name, sizes[1], "channels first")
        return Ports(port.name, "float NCHW", *_size(sizes[2], sizes[3]), chosen)
    if kind.elem_type == TensorProto.UINT8:
        _require_three(port.name, sizes[3], "channels last")
        return Ports(port.name, "uint8 NHWC", *_size(sizes[1], sizes[2]), chosen)
    raise EngineError(
        f"The input {port.name!r} is {TensorProto.DataType.Name(kind.elem_type)}, neither FLOAT nor UINT8.",
        remedy=_WANTED,
    )


def _require_three(name: str, channels: int | None, where: str) -> None:
    if channels != 3:
        found = "an unknown number of" if channels is None else str(channels)
        raise EngineError(f"The input {name!r} has {found} channels ({where}), not 3.", remedy=_WANTED)


def _size(height: int | None, width: int | None) -> tuple[int | None, int | None]:
    return (None, None) if height is None or width is None else (height, width)


def _output(model: onnx.ModelProto, wanted: str | None) -> str:
    names = [port.name for port in model.graph.output]
    if wanted is None and len(names) == 1:
        return str(names[0])
    if wanted in names:
        return str(wanted)
    asked = "none was chosen" if wanted is None else f"{wanted!r} is none of them"
    raise EngineError(
        f"The network has the outputs {', '.join(names)}; {asked}.", remedy="Name the one to use with --output."
    )
