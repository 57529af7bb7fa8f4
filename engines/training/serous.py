"""Train, quantise and package the serous network: `python -m engines.training.serous --out DIR`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from engines.package import DataSource, EnginePackage, OperatingPointSpec
from engines.training import seeds
from engines.training.architecture import INPUT_SCALE
from engines.training.augment import Photometry, window
from engines.training.fields import Measured, field_tiles, measure, tile_source
from engines.training.loop import Schedule, load_weights, train
from engines.training.network import HeatmapNet
from engines.training.packaging import THRESHOLD, Recipe, open_scorer, shift_logits, write_package
from engines.training.pools import build_pool
from engines.training.subjects import SEROUS

_log = logging.getLogger(__name__)

_WINDOW = 320
_POOL_SIDE = 400
_FALSE_PER_CELL = 5e-4
_PHOTOMETRY = Photometry(gain=0.10, stain=0.15, gamma=0.08, hue=0.03, blur_px=0.7, noise=3.0, jpeg=0.2)
_UNMEASURED = OperatingPointSpec(
    name="unmeasured", threshold=THRESHOLD, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none"
)
_CUTOFFS = {"t1": 0.3, "t2": 0.6, "t3": 0.9}
_RECIPE = Recipe(
    name="serous-cytology",
    version="0.1.0",
    assay="serous",
    labels=SEROUS.labels,
    scale=SEROUS.scale,
    stride=SEROUS.stride,
    report_threshold=0.2,
    training_data=(
        DataSource(
            name="twin serous slides, training seeds (engines.training.seeds)",
            licence="Apache-2.0, this repository",
            used_for="all training",
        ),
    ),
    calibration_source="twin serous slides, calibration seeds",
)


def main(
    *,
    out: Annotated[Path, typer.Option(help="folder for pools, checkpoints and the package")],
    steps: Annotated[int, typer.Option(help="training steps")] = 3000,
    tiles: Annotated[int, typer.Option(help="rendered training tiles")] = 600,
    batch: Annotated[int, typer.Option(help="tiles a step")] = 6,
    validation_slides: Annotated[int, typer.Option(help="slides for the operating point, half of them benign")] = 24,
    fields_per_slide: Annotated[int, typer.Option(help="fields of each validation slide")] = 4,
    start: Annotated[Path | None, typer.Option(help="checkpoint whose network to go on from")] = None,
    seed: Annotated[int, typer.Option(help="of the network's first weights and of the order of samples")] = 1,
    threads: Annotated[int, typer.Option(help="processor cores")] = 1,
) -> None:
    """Train on twin slides, quantise, measure the operating point on validation slides, write DIR/package."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    pool = build_pool(out / "tiles.npz", tiles, 1, tile_source(SEROUS, seeds.TRAINING, _POOL_SIDE))
    torch.manual_seed(seed)
    net = HeatmapNet(SEROUS.stages, len(SEROUS.labels))
    if start is not None:
        load_weights(net, start)
    train(
        net,
        lambda rng, _: window(pool, _WINDOW, SEROUS.stride, rng, _PHOTOMETRY),
        Schedule(steps=steps, batch=batch, seed=seed, threads=threads),
        out,
    )
    package(net, out, validation_slides, fields_per_slide)


def package(net: HeatmapNet, out: Path, slides: int, fields: int) -> EnginePackage:
    """Quantise `net`, move its thresholds to 0.5, measure, and write out/package."""
    calibration = build_pool(out / "calibration.npz", 64, 3, tile_source(SEROUS, seeds.CALIBRATION, _POOL_SIDE))
    pictures = [sample.picture for sample in calibration]
    layers = net.folded()
    folder = out / "package"
    write_package(folder, _RECIPE, layers, input_scale=INPUT_SCALE, pictures=pictures, point=_UNMEASURED)
    malignant, benign = _measure(folder, slides, fields)
    thresholds = [malignant.threshold_for(_FALSE_PER_CELL * malignant.cells), benign.balanced_threshold()]
    _log.info("thresholds before the shift: malignant %.3f, benign %.3f", *thresholds)
    shifted = shift_logits(layers, thresholds)
    point = OperatingPointSpec(
        name="validation",
        threshold=THRESHOLD,
        sensitivity=round(malignant.sensitivity(thresholds[0]), 4),
        false_per_mm2=round(malignant.false_count(thresholds[0]) / malignant.area_mm2, 4),
        false_per_cell=round(malignant.false_count(thresholds[0]) / max(1, malignant.cells), 6),
        cutoffs=_CUTOFFS,
        source=f"{slides} twin slides (validation seeds), {fields} fields each, {malignant.cells} nucleated cells",
    )
    _log.info("malignant: %s", point)
    _log.info("benign: found %.3f", benign.sensitivity(thresholds[1]))
    return write_package(folder, _RECIPE, shifted, input_scale=INPUT_SCALE, pictures=pictures, point=point)


def _measure(folder: Path, slides: int, fields: int) -> list[Measured]:
    """Over validation slides; every second one is benign, the others have 2 to 20 % malignant cells."""
    scorer = open_scorer(folder)
    rates = np.random.default_rng(5).uniform(0.02, 0.2, slides)
    tiles = (
        tile
        for index in range(slides)
        for tile in field_tiles(SEROUS, seeds.VALIDATION[index], 0.0 if index % 2 else float(rates[index]), fields)
    )
    return measure(scorer, SEROUS, tiles)


if __name__ == "__main__":
    typer.run(main)
