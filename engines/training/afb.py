"""Train, quantise and package the AFB network: `python -m engines.training.afb --crops DIR --out DIR`."""

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
from engines.training.collage import Collages
from engines.training.crops import read_crops, select
from engines.training.fields import Measured, field_tiles, measure, tile_source
from engines.training.loop import Schedule, load_weights, train
from engines.training.network import HeatmapNet
from engines.training.packaging import THRESHOLD, Recipe, open_scorer, shift_logits, write_package
from engines.training.pools import build_pool
from engines.training.subjects import AFB

_log = logging.getLogger(__name__)

_WINDOW = 256
_POOL_SIDE = 352
_FALSE_PER_MM2 = 0.2
_UNMEASURED = OperatingPointSpec(
    name="unmeasured", threshold=THRESHOLD, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none"
)
_RECIPE = Recipe(
    name="afb-zn",
    version="0.1.0",
    assay="afb",
    labels=AFB.labels,
    scale=AFB.scale,
    stride=AFB.stride,
    report_threshold=0.2,
    training_data=(
        DataSource(
            name="Makerere AI Lab tuberculosis crops (SylviaCHS/BME590_ML_Final_Project), four fifths of the sources",
            licence="source set CC0 1.0, crops MIT",
            used_for="training, validation, calibration",
        ),
        DataSource(
            name="twin sputum slides, training seeds (engines.training.seeds)",
            licence="Apache-2.0, this repository",
            used_for="training",
        ),
    ),
    calibration_source="twin sputum slides, calibration seeds, and collages of validation crops",
)


def main(
    *,
    crops: Annotated[Path, typer.Option(help="folder with the subfolders afb and non_afb")],
    out: Annotated[Path, typer.Option(help="folder for pools, checkpoints and the package")],
    steps: Annotated[int, typer.Option(help="training steps")] = 3000,
    tiles: Annotated[int, typer.Option(help="training tiles of each kind, rendered and laid from crops")] = 500,
    batch: Annotated[int, typer.Option(help="tiles a step")] = 8,
    validation_slides: Annotated[int, typer.Option(help="slides for the operating point, half without bacilli")] = 20,
    fields_per_slide: Annotated[int, typer.Option(help="fields of each validation slide")] = 5,
    start: Annotated[Path | None, typer.Option(help="checkpoint whose network to go on from")] = None,
    seed: Annotated[int, typer.Option(help="of the network's first weights and of the order of samples")] = 1,
    threads: Annotated[int, typer.Option(help="processor cores")] = 1,
) -> None:
    """Train on real crops and twin slides, quantise, measure the operating point, write DIR/package."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    everything = read_crops(crops)
    collages = Collages(select(everything, "training"), AFB.scale.native_um_per_px, AFB.stride, 5.0, _POOL_SIDE)
    real = build_pool(out / "collages.npz", tiles, 11, lambda rng, _: collages.lay(rng))
    rendered = build_pool(out / "tiles.npz", tiles, 1, tile_source(AFB, seeds.TRAINING, _POOL_SIDE))
    torch.manual_seed(seed)
    net = HeatmapNet(AFB.stages, len(AFB.labels))
    if start is not None:
        load_weights(net, start)
    train(
        net,
        lambda rng, slot: window((real, rendered)[slot % 2], _WINDOW, AFB.stride, rng, Photometry()),
        Schedule(steps=steps, batch=batch, seed=seed, threads=threads),
        out,
    )
    kept = Collages(select(everything, "validation"), AFB.scale.native_um_per_px, AFB.stride, 5.0, _POOL_SIDE)
    package(net, out, kept, validation_slides, fields_per_slide)


def package(net: HeatmapNet, out: Path, kept: Collages, slides: int, fields: int) -> EnginePackage:
    """Quantise `net`, move its threshold to 0.5, measure, and write out/package."""
    rendered = build_pool(out / "calibration.npz", 40, 3, tile_source(AFB, seeds.CALIBRATION, _POOL_SIDE))
    laid = build_pool(out / "calibration_collages.npz", 24, 4, lambda rng, _: kept.lay(rng))
    pictures = [sample.picture for sample in (*rendered, *laid)]
    layers = net.folded()
    folder = out / "package"
    write_package(folder, _RECIPE, layers, input_scale=INPUT_SCALE, pictures=pictures, point=_UNMEASURED)
    measured = _measure(folder, slides, fields)
    threshold = max(measured.threshold_for(_FALSE_PER_MM2 * measured.area_mm2), 0.3)
    _log.info("threshold before the shift: %.3f", threshold)
    point = OperatingPointSpec(
        name="validation",
        threshold=THRESHOLD,
        sensitivity=round(measured.sensitivity(threshold), 4),
        false_per_mm2=round(max(1, measured.false_count(threshold)) / measured.area_mm2, 4),
        false_per_cell=0.0,
        source=f"{slides} twin slides (validation seeds), {fields} fields each, {measured.area_mm2:.2f} mm², "
        f"{measured.matches.best.size} bacilli",
    )
    _log.info("%s", point)
    shifted = shift_logits(layers, [threshold])
    return write_package(folder, _RECIPE, shifted, input_scale=INPUT_SCALE, pictures=pictures, point=point)


def _measure(folder: Path, slides: int, fields: int) -> Measured:
    """Over validation slides; every second one has no bacilli, the others 30 to 3000 per mm²."""
    scorer = open_scorer(folder)
    rates = np.exp(np.random.default_rng(5).uniform(np.log(30), np.log(3000), slides))
    tiles = (
        tile
        for index in range(slides)
        for tile in field_tiles(AFB, seeds.VALIDATION[index], 0.0 if index % 2 else float(rates[index]), fields)
    )
    return measure(scorer, AFB, tiles)[0]


if __name__ == "__main__":
    typer.run(main)
