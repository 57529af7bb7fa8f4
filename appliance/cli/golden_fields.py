"""Golden fields for a package that brings none: drawn by the twin, read by the processor on this device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.cli.twin_plan import plan_over
from appliance.cli.twin_session import CONTENT, TwinSlide
from drivers.camera.colour import demosaic
from drivers.twin.settings import TwinSettings
from drivers.twin.virtual import FieldShelf, draw_ladder
from engines.acceptance.golden import Golden
from engines.acceptance.make import Picture, make_golden
from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.tensorrt.signature import FrameSize

SEED, FIELDS = 24, 4
"""A slide on which no network was trained; its fields lie spread over it, and some are fuller than others."""
_MALIGNANT, _AFB_PER_HPF = 0.15, 6.0
"""So much that each field shows something."""


def drawn_golden(package: EnginePackage, frame: FrameSize, folder: Path) -> Golden:
    """Golden fields of the frame's size in `folder`; what they show is what ONNX Runtime finds in them.

    They prove that an engine does what its network does, not that the network is good. Raises BadGolden, EngineError.
    """
    twin = _twin(package, frame)
    places = [(field.x_um, field.y_um) for field in plan_over(FieldShelf(twin), FIELDS)]
    drawn = draw_ladder(twin, places, [0.0]).pictures[:, 0]
    scale = twin.optics.scale_um
    pictures = [
        Picture(f"field-{number}", demosaic(_middle(bayer, frame)), scale) for number, bayer in enumerate(drawn, 1)
    ]
    scorer = OnnxCpuScorer(package)
    try:
        return make_golden(package, pictures, folder, scorer.score)
    finally:
        scorer.close()


def _twin(package: EnginePackage, frame: FrameSize) -> TwinSettings:
    """A slide of the package's assay with plenty of what it looks for, at its scale."""
    assay, scale = package.manifest.assay, package.manifest.scale
    size = (f"camera.width_px={frame.width_px}", f"camera.height_px={frame.height_px}")
    for magnification in (450, 900):
        slide = TwinSlide(assay, magnification, SEED, malignant=_MALIGNANT, afb_per_hpf=_AFB_PER_HPF, more=size)
        twin = slide.settings() if assay in CONTENT else None
        if twin is not None and scale.min_um_per_px <= twin.optics.scale_um <= scale.max_um_per_px:
            return twin
    raise EngineError(
        f"The twin draws no slide for {package.title} ({assay}, {scale.native_um_per_px:g} µm/px).",
        remedy="Have its release made with golden fields.",
    )


def _middle(bayer: NDArray[np.uint8], frame: FrameSize) -> NDArray[np.uint8]:
    """The middle of a picture that was drawn larger; still red at its first pixel."""
    row, col = (
        (side - wanted) // 4 * 2 for side, wanted in zip(bayer.shape, (frame.height_px, frame.width_px), strict=True)
    )
    return np.ascontiguousarray(bayer[row : row + frame.height_px, col : col + frame.width_px])
