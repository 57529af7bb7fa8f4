"""The shapes of the networks, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

INPUT_SCALE = 1.0 / 64.0
"""Networks are trained on (pixel - 128) * INPUT_SCALE."""


@dataclass(frozen=True)
class Stage:
    """One convolution, batch normalisation, ReLU: output channels, kernel side, stride, dilation."""

    channels: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1


# Channels are multiples of 16: the INT8 kernels of both runtimes run no faster with fewer in between.
AFB_STAGES = (
    Stage(16, kernel=5, stride=2),
    Stage(32, stride=2),
    Stage(48),
    Stage(48),
    Stage(48, dilation=2),
    Stage(48, dilation=4),
    Stage(64),
)
# At 450x a bacillus is two pixels wide: one more layer looks at it before detail is given up.
AFB_450_STAGES = (
    Stage(16, kernel=5, stride=2),
    Stage(32),
    Stage(48, stride=2),
    Stage(48),
    Stage(48),
    Stage(48, dilation=2),
    Stage(64),
)
# Air-drying swells every cell of a slide: the last layers see 40 µm around, so that neighbours give the measure.
SEROUS_STAGES = (
    Stage(32, kernel=5, stride=2),
    Stage(48, stride=2),
    Stage(64),
    Stage(64),
    Stage(128, stride=2),
    Stage(128),
    Stage(128, dilation=2),
    Stage(128, dilation=4),
    Stage(128, dilation=8),
)
