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


AFB_STAGES = (
    Stage(16, kernel=5, stride=2),
    Stage(32, stride=2),
    Stage(40),
    Stage(40),
    Stage(40, dilation=2),
    Stage(48),
)
SEROUS_STAGES = (
    Stage(16, kernel=5, stride=2),
    Stage(32, stride=2),
    Stage(32),
    Stage(64, stride=2),
    Stage(64),
    Stage(64),
    Stage(64, dilation=2),
    Stage(64, dilation=2),
    Stage(64, dilation=2),
)
