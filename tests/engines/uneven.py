"""A chain of convolutions whose channels differ in range by a factor of a hundred, as trained ones do."""

from __future__ import annotations

import numpy as np

from engines.training.export import ConvLayer


def uneven_layers() -> list[ConvLayer]:
    """Random layers, each channel multiplied by 0.1 to 10 where it is written and divided where it is read."""
    rng = np.random.default_rng(3)
    layers, channels, before = [], 3, np.ones(3)
    for out, stride in ((12, 2), (16, 1), (16, 1)):
        spread = 10 ** rng.uniform(-1, 1, out)
        weight = rng.normal(0, np.sqrt(2 / (9 * channels)), (out, channels, 3, 3)) / before[:, None, None]
        bias = rng.normal(0, 0.1, out) * spread
        layers.append(
            ConvLayer((weight * spread[:, None, None, None]).astype(np.float32), bias.astype(np.float32), stride)
        )
        channels, before = out, spread
    head = rng.normal(0, 0.5, (1, channels, 1, 1)) / before[:, None, None]
    return [*layers, ConvLayer(head.astype(np.float32), np.zeros(1, np.float32), relu=False)]
