"""A small real package: a network of two layers that answers to redness, quantised on noise pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.package import DataSource, Label, OperatingPointSpec, Scale
from engines.training.export import ConvLayer
from engines.training.packaging import Recipe

POINT = OperatingPointSpec(
    name="test", threshold=0.5, sensitivity=0.9, false_per_mm2=1.0, false_per_cell=0.0, source="none"
)
RECIPE = Recipe(
    name="redness",
    version="1.2.3",
    assay="afb",
    labels=(Label(name="red", target=True, box_um=(4.0, 2.0), separation_um=2.0),),
    scale=Scale(native_um_per_px=0.2, min_um_per_px=0.15, max_um_per_px=0.25),
    stride=2,
    report_threshold=0.2,
    training_data=(DataSource(name="none, set by hand", licence="none", used_for="tests"),),
    calibration_source="noise",
)


def redness_layers() -> list[ConvLayer]:
    """Red minus green over 3 x 3 pixels at stride 2, then a steep logit."""
    weight = np.zeros((1, 3, 3, 3), np.float32)
    weight[0, 0], weight[0, 1] = 1 / 9, -1 / 9
    head = np.full((1, 1, 1, 1), 6.0, np.float32)
    return [
        ConvLayer(weight, np.zeros(1, np.float32), stride=2),
        ConvLayer(head, np.full(1, -6.0, np.float32), relu=False),
    ]


def noise_pictures(count: int = 8, side: int = 64) -> list[NDArray[np.uint8]]:
    """Coloured patches of 8 px over the whole range of values, with grain: structure, as a lens would draw it."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (-(-side // 8) + 1, -(-side // 8) + 1, 3)).astype(np.float32)
        patches = coarse.repeat(8, axis=0).repeat(8, axis=1)[:side, :side]
        grain = rng.normal(0, 12, patches.shape)
        pictures.append(np.clip(patches + grain, 0, 255).astype(np.uint8))
    return pictures
