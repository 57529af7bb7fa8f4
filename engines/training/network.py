"""Small fully convolutional networks: plain convolutions and ReLU, nothing INT8 would suffer from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from engines.training.architecture import INPUT_SCALE, Stage
from engines.training.export import GREY, ConvLayer

_RARE = -4.6  # logit of 0.01: most cells hold nothing, and the first steps should know it


_STEP = 1.0 / 127.0  # of the largest activation: what INT8 can tell apart, half of its codes being negative


class RoundedReLU(nn.ReLU):
    """ReLU that while training errs as INT8 will: by up to half a step, evenly.

    A network that learned with the error leans less on what rounding takes away. Source: Baskin et al., NICE: Noise
    injection and clamping estimation for neural network quantization, 2018.
    """

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Rectified `values`, of any shape."""
        result = super().forward(values)
        if not self.training:
            return result
        # Of a batch, all alike: to draw them costs time.
        error = torch.rand(result.shape[1:], dtype=result.dtype, device=result.device) - 0.5
        return result + error * (result.detach().amax() * _STEP)


class HeatmapNet(nn.Module):
    """Maps pictures (B, 3, H, W), pixel values 0 to 255, to logits (B, labels, H/stride, W/stride)."""

    def __init__(self, stages: Sequence[Stage], labels: int) -> None:
        super().__init__()
        self.stages = tuple(stages)
        blocks: list[nn.Module] = []
        channels = 3
        for stage in self.stages:
            pad = (stage.kernel // 2) * stage.dilation
            blocks += [
                nn.Conv2d(channels, stage.channels, stage.kernel, stage.stride, pad, stage.dilation, bias=False),
                nn.BatchNorm2d(stage.channels),
                RoundedReLU(),
            ]
            channels = stage.channels
        self.body = nn.Sequential(*blocks)
        self.head = nn.Conv2d(channels, labels, 1)
        nn.init.constant_(self.head.bias, _RARE)

    @property
    def stride(self) -> int:
        """Pixels between cells of the output."""
        return int(np.prod([stage.stride for stage in self.stages]))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits of `pictures`."""
        logits: torch.Tensor = self.head(self.body((pictures - GREY) * INPUT_SCALE))
        return logits

    def folded(self) -> list[ConvLayer]:
        """The layers as they run: batch normalisation folded into weights and biases, in float32."""
        layers = []
        for index, stage in enumerate(self.stages):
            conv, norm = self.body[3 * index], self.body[3 * index + 1]
            if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                raise TypeError("body must repeat convolution, normalisation, ReLU")
            mean, variance = norm.running_mean, norm.running_var
            if mean is None or variance is None:
                raise TypeError("batch normalisation must track its statistics")
            gain = norm.weight / torch.sqrt(variance + norm.eps)
            weight = (conv.weight * gain[:, None, None, None]).detach().numpy().astype(np.float32)
            bias = (norm.bias - mean * gain).detach().numpy().astype(np.float32)
            layers.append(ConvLayer(weight, bias, stage.stride, stage.dilation))
        head_bias = self.head.bias
        if head_bias is None:
            raise TypeError("the head needs a bias")
        layers.append(
            ConvLayer(
                self.head.weight.detach().numpy().astype(np.float32),
                head_bias.detach().numpy().astype(np.float32),
                relu=False,
            )
        )
        return layers
