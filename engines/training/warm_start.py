"""A network to go on from: a checkpoint of a run, or a package that was shipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from engines.package import DataSource, load_package
from engines.qdq_float import to_float
from engines.training.architecture import INPUT_SCALE
from engines.training.loop import load_weights
from engines.training.network import HeatmapNet
from engines.training.targets import Sample

_LOOKED_AT = 16  # samples of each pool that tell what a layer sees


def start_from(net: HeatmapNet, start: Path, pools: Sequence[Sequence[Sample]]) -> None:
    """Give `net` the weights of `start`: a checkpoint, or a package's folder whose network has its architecture.

    A package holds folded layers: its normalisation is undone with the statistics that the first samples of `pools`,
    which it is to be trained on, give. Raises ValueError when the package's layers are of other shapes.
    """
    if start.is_file():
        load_weights(net, start)
        return
    model = to_float(onnx.load_from_string(load_package(start).onnx_bytes))
    constants = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    layers = [
        tuple(torch.from_numpy(np.array(constants[name], np.float32)) for name in node.input[1:3])
        for node in model.graph.node
        if node.op_type == "Conv"
    ]
    convolutions = [layer for layer in (*net.body, net.head) if isinstance(layer, nn.Conv2d)]
    wanted, shapes = [tuple(c.weight.shape) for c in convolutions], [tuple(weight.shape) for weight, _ in layers]
    if wanted != shapes:
        raise ValueError(
            f"{start}: its layers are {shapes}, the network to train has {wanted}. Start from a package of the same "
            "architecture (engines/training/architecture.py), or from nothing."
        )
    norms = [layer for layer in net.body if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for index, (convolution, (weight, bias)) in enumerate(zip(convolutions, layers, strict=True)):
            convolution.weight.copy_(weight / INPUT_SCALE if index == 0 else weight)
            if index < len(norms):
                _pass_through(norms[index], bias)
            elif convolution.bias is not None:
                convolution.bias.copy_(bias)
        _normalise(net, norms, [sample.picture for pool in pools for sample in pool[:_LOOKED_AT]])


def first_weights(start: Path | None) -> tuple[DataSource, ...]:
    """What a package's data list says of the network that training went on from."""
    if start is None:
        return ()
    name = "weights of an earlier run" if start.is_file() else f"weights of {load_package(start).title}"
    return (DataSource(name=name, licence="Apache-2.0, this repository", used_for="first weights"),)


def _pass_through(norm: nn.BatchNorm2d, bias: torch.Tensor) -> None:
    """Make `norm` add `bias` and do nothing else."""
    norm.running_mean = torch.zeros_like(bias)
    norm.running_var = torch.full_like(bias, 1.0 - norm.eps)
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)


def _normalise(net: HeatmapNet, norms: Sequence[nn.BatchNorm2d], pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Give each of `norms` the statistics of what it sees on `pictures`, so that the answer stays as it is."""
    seen: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {index: [] for index in range(len(norms))}

    def note(index: int) -> torch.utils.hooks.RemovableHandle:
        return norms[index].register_forward_pre_hook(
            lambda _, inputs: seen[index].append((inputs[0].mean(dim=(0, 2, 3)), inputs[0].var(dim=(0, 2, 3))))
        )

    hooks = [note(index) for index in range(len(norms))]
    net.eval()
    for picture in pictures:
        net(torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None])).float())
    for hook in hooks:
        hook.remove()
    for index, norm in enumerate(norms):
        means, variances = (torch.stack(values) for values in zip(*seen[index], strict=True))
        mean = means.mean(dim=0)
        variance = variances.mean(dim=0) + means.var(dim=0, unbiased=False)
        norm.running_mean, norm.running_var = mean, variance
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.add_(mean)
