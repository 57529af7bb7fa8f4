"""Import networks of public architectures: `python -m engines.training.public_networks --out DIR`.

ResNet-18 and MobileNetV2 as the transformers package builds them from their configurations; nothing is downloaded. They
are trained for some steps to tell fields with malignant cells from fields without, on twin slides, so that their scores
mean something to rank. How well they do it is not the point; that import keeps what they say is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from transformers import (
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from engines.importing import Imported, Request, import_network
from engines.importing.wrap import PRESETS
from engines.package import OperatingPointSpec
from engines.training import seeds
from engines.training.subjects import SEROUS
from engines.training.twin_tiles import TileMaker

_SIDE = 224
_FIELD = 448
_TILES_PER_SLIDE = 4


def resnet18() -> Any:  # noqa: ANN401 - a torch module; PyTorch is untyped here
    """ResNet-18 with two classes."""
    return ResNetForImageClassification(
        ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic", num_labels=2)
    )


def mobilenet_v2() -> Any:  # noqa: ANN401 - a torch module; PyTorch is untyped here
    """MobileNetV2 at width 1 with two classes."""
    return MobileNetV2ForImageClassification(MobileNetV2Config(image_size=_SIDE, num_labels=2))


NETWORKS: dict[str, Callable[[], Any]] = {"resnet18": resnet18, "mobilenet-v2": mobilenet_v2}


class _Logits(torch.nn.Module):
    """Only the answer, as an export wants it."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401 - a torch module
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Any) -> Any:  # noqa: ANN401 - tensors
        """Logits (N, 2) of pixels (N, 3, H, W)."""
        return self.inner(pixel_values=pixels).logits


def tiles(count: int, slides: range, side: int) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """`count` tiles of side x side px of every second slide with 40 % malignant cells, and which hold one, (count,)."""
    maker = TileMaker(SEROUS.microscope, SEROUS.label_of, (side, side))
    pictures: list[NDArray[np.uint8]] = []
    classes: list[int] = []
    for index in range(-(-count // _TILES_PER_SLIDE)):
        seed = slides[index]
        slide, rng = SEROUS.draw_slide(seed, 0.4 if index % 2 else 0.0), np.random.default_rng([seed, 7])
        for _ in range(_TILES_PER_SLIDE):
            tile = maker.render(slide, maker.random_place(slide, rng), 0.0, rng)
            pictures.append(tile.picture)
            classes.append(int((tile.labels == 0).any()))
    return pictures[:count], np.array(classes[:count], np.int64)


def fit(network: Any, pictures: list[NDArray[np.uint8]], classes: NDArray[np.int64], steps: int) -> float:  # noqa: ANN401
    """Train for `steps` steps of 8 tiles; returns the mean loss of the last ten."""
    mean, std = (np.array(part, np.float32) for part in (PRESETS["imagenet"].mean, PRESETS["imagenet"].std))
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
    losses: list[float] = []
    network.train()
    for _ in range(steps):
        chosen = rng.integers(0, len(pictures), 8)
        batch = np.stack([(pictures[i].astype(np.float32) - mean) / std for i in chosen]).transpose(0, 3, 1, 2)
        answer = network(pixel_values=torch.from_numpy(np.ascontiguousarray(batch))).logits
        loss = torch.nn.functional.cross_entropy(answer, torch.from_numpy(classes[chosen]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    network.eval()
    return float(np.mean(losses[-10:])) if losses else float("nan")


def export(network: Any, path: Path) -> None:  # noqa: ANN401 - a torch module
    """Write the FP32 ONNX as a customer would: float NCHW in, logits out, one fixed size."""
    torch.onnx.export(
        _Logits(network).eval(),
        (torch.zeros(1, 3, _SIDE, _SIDE),),
        str(path),
        input_names=["pixel_values"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )


def bring_in(source: Path, fields: Path, out: Path) -> Imported:
    """Import the exported classifier as `cytoscan engine import` does."""
    request = Request(
        source=source,
        calibration=fields,
        out=out,
        name=out.name,
        version="0.1.0",
        assay="serous",
        labels=(None, SEROUS.labels[0]),
        scale=SEROUS.scale,
        normalisation=PRESETS["imagenet"],
        head="softmax",
        report_threshold=0.2,
        point=OperatingPointSpec(
            name="unmeasured", threshold=0.5, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none"
        ),
        accept_loss=True,
    )
    return import_network(request, typer.echo)


def main(
    *,
    out: Annotated[Path, typer.Option(help="folder for tiles, ONNX files and packages; packages must not exist")],
    steps: Annotated[int, typer.Option(help="training steps of each network")] = 60,
    train_tiles: Annotated[int, typer.Option(help="twin tiles to train on")] = 160,
    fields: Annotated[int, typer.Option(help="twin fields to calibrate on and to compare on")] = 24,
    threads: Annotated[int, typer.Option(help="processor cores")] = 1,
) -> None:
    """Train briefly, export, import; print one line of JSON for each network."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    folder = out / "fields"
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(tiles(fields, seeds.CALIBRATION, _FIELD)[0]):
        cv2.imwrite(str(folder / f"{index:03d}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    pictures, classes = tiles(train_tiles, seeds.TRAINING, _SIDE)
    for name, make in NETWORKS.items():
        network = make()
        started = time.perf_counter()
        loss = fit(network, pictures, classes, steps)
        export(network, out / f"{name}.onnx")
        trained = time.perf_counter()
        done = bring_in(out / f"{name}.onnx", folder, out / name)
        parity = done.package.manifest.parity
        result = {
            "network": name,
            "parameters": sum(p.numel() for p in network.parameters()),
            "loss": round(loss, 3),
            "operators": dict(done.operators),
            "lint": "kept",
            "parity": parity.model_dump() if parity else None,
            "spearman_as_wanted": done.gate.passed,
            "train_s": round(trained - started, 1),
            "import_s": round(time.perf_counter() - trained, 1),
        }
        typer.echo(json.dumps(result))


if __name__ == "__main__":
    typer.run(main)
