"""Train, quantise and package the serous network: `python -m engines.training.serous --out DIR`."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import torch
import typer

from engines.package import DataSource
from engines.packaging import Recipe
from engines.training import seeds
from engines.training.augment import Photometry, window
from engines.training.fields import measure, tile_source
from engines.training.kept_fields import kept_fields
from engines.training.lineup import lineup
from engines.training.loop import Schedule
from engines.training.network import HeatmapNet
from engines.training.packaging import open_scorer
from engines.training.pools import build_pool
from engines.training.rounds import train_in_rounds
from engines.training.settling import Settled, most_telling, point_at, settle
from engines.training.subjects import SEROUS
from engines.training.warm_start import first_weights, start_from

_WINDOW = 320
_CALIBRATION_PX = (400, 400)
_FIELD_SEED = 1000
_FIRST_SLIDE = 60_000  # earlier ones trained the versions before
_PHOTOMETRY = Photometry(gain=0.10, stain=0.15, gamma=0.08, hue=0.03, blur_px=0.7, noise=3.0, jpeg=0.2)
# A slide that must stand out: 0.2 % malignant among the cells of 60 fields; the assay's own spread of false rates.
_SHARE, _CELLS, _SPREAD = 0.002, 10_000, 0.7
_CUTOFFS = {"t1": 0.3, "t2": 0.6, "t3": 0.9}
_RECIPE = Recipe(
    name=SEROUS.name,
    version="0.5.0",
    assay=SEROUS.assay,
    labels=SEROUS.labels,
    scale=SEROUS.scale,
    stride=SEROUS.stride,
    report_threshold=0.2,
    training_data=(
        DataSource(
            name="twin serous slides (engines.training.seeds)",
            licence="Apache-2.0, this repository",
            used_for="training, calibration, operating point",
        ),
    ),
    calibration_source="twin serous slides, calibration seeds",
)


def main(
    *,
    out: Annotated[Path, typer.Option(help="folder for pools, fields, checkpoints and the package")],
    steps: Annotated[int, typer.Option(help="training steps")] = 12000,
    fields: Annotated[int, typer.Option(help="rendered training fields")] = 480,
    batch: Annotated[int, typer.Option(help="windows of fields a step")] = 6,
    validation_slides: Annotated[int, typer.Option(help="slides for the operating point, half of them benign")] = 40,
    start: Annotated[Path | None, typer.Option(help="checkpoint or package whose network to go on from")] = None,
    seed: Annotated[int, typer.Option(help="of the network's first weights and of the order of samples")] = 1,
    threads: Annotated[int, typer.Option(help="processor cores")] = 2,
    workers: Annotated[int, typer.Option(help="processes that make samples")] = 1,
) -> None:
    """Train on twin slides, quantise, measure the operating point on validation slides, write DIR/package.

    The slide cut-offs t1, t2, t3 come afterwards, from whole slides: `cytoscan bench verdict` suggests them.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    pool = build_pool(out / "pool", fields, _FIELD_SEED, tile_source(SEROUS, seeds.TRAINING[_FIRST_SLIDE:]), threads)
    torch.manual_seed(seed)
    net = HeatmapNet(SEROUS.stages, len(SEROUS.labels))
    if start is not None:
        start_from(net, start, [pool])
    train_in_rounds(
        net,
        pool,
        SEROUS.separation_px,
        lambda rng, _, hard: window(pool, _WINDOW, SEROUS.stride, rng, _PHOTOMETRY, hard),
        Schedule(steps=steps, batch=batch, seed=seed, threads=threads, workers=workers),
        out,
        knows=start is not None,
    )
    calibration = build_pool(out / "calibration", 64, 3, tile_source(SEROUS, seeds.CALIBRATION, _CALIBRATION_PX))
    pictures = [sample.picture for sample in calibration]
    settle(
        out / "package",
        replace(_RECIPE, training_data=(*_RECIPE.training_data, *first_weights(start))),
        net.folded(),
        pictures,
        lambda folder: _choose(folder, out / "fields", validation_slides),
    )


def _choose(folder: Path, kept: Path, slides: int) -> Settled:
    """The threshold at which few malignant cells tell most, and the one at which benign cells are counted right."""
    tiles = (kept_fields(kept, SEROUS, spec) for spec in lineup(SEROUS, seeds.VALIDATION, slides))
    malignant, benign = measure(open_scorer(folder), SEROUS, chain.from_iterable(tiles))
    threshold = most_telling(malignant, _SHARE, _CELLS, _SPREAD)
    source = (
        f"{slides} twin slides (validation seeds), {malignant.fields} fields, {malignant.cells} nucleated cells, "
        f"{malignant.matches.best.size} of them malignant"
    )
    point = point_at(malignant, threshold, per_cell=True, source=source)
    return Settled((threshold, benign.balanced_threshold()), point.model_copy(update={"cutoffs": _CUTOFFS}))


if __name__ == "__main__":
    typer.run(main)
