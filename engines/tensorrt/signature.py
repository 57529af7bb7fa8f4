"""What an engine reads and answers, as its package promises. Needs no TensorRT: who has an engine built says it too."""

from __future__ import annotations

from dataclasses import dataclass

from engines.package import EnginePackage


@dataclass(frozen=True)
class FrameSize:
    """Of the camera's pictures, in pixels; an engine is built for one."""

    height_px: int
    width_px: int


@dataclass(frozen=True)
class Signature:
    """What the package promises: names, the picture (1, H, W, 3), the answer (1, labels, h, w)."""

    input_name: str
    input_shape: tuple[int, ...]
    output_name: str
    output_shape: tuple[int, ...]


def signature(package: EnginePackage, frame: FrameSize) -> Signature:
    """What an engine of the package reads and answers: whole frames, or its own tiles."""
    manifest = package.manifest
    height, width, stride = frame.height_px, frame.width_px, manifest.output.stride
    if manifest.tiling is not None:
        height, width = manifest.tiling.height_px, manifest.tiling.width_px
    cells = (-(-height // stride), -(-width // stride))
    if manifest.tiling is not None and manifest.tiling.answers == "field":
        cells = (1, 1)
    shape = (1, len(manifest.labels), *cells)
    return Signature(manifest.input.name, (1, height, width, 3), manifest.output.name, shape)
