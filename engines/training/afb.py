"""Train, quantise and package an AFB network: `python -m engines.training.afb --crops DIR --out DIR`."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from engines.package import DataSource
from engines.packaging import Recipe
from engines.training import seeds
from engines.training.augment import Photometry, window
from engines.training.collage import Collages
from engines.training.crops import CropSet, read_crops, select
from engines.training.fields import measure, tile_source
from engines.training.kept_fields import kept_fields
from engines.training.lineup import lineup
from engines.training.loop import Schedule
from engines.training.network import HeatmapNet
from engines.training.packaging import open_scorer
from engines.training.pools import build_pool
from engines.training.rounds import train_in_rounds
from engines.training.settling import Settled, point_at, settle
from engines.training.subjects import AFB, AFB_450, Subject
from engines.training.targets import Sample
from engines.training.warm_start import first_weights, start_from

_WINDOW = 256
_SHEET_PX = 352
_FIELD_SEED, _COLLAGE_SEED, _SHEET_SEED = 1000, 11, 12
_FIRST_SLIDE = 60_000  # earlier ones trained the versions before
_FALSE_PER_FIELD = 0.01
_SUBJECTS = {900: AFB, 450: AFB_450}


def main(
    *,
    crops: Annotated[Path, typer.Option(help="folder with the subfolders afb and non_afb")],
    out: Annotated[Path, typer.Option(help="folder for pools, fields, checkpoints and the package")],
    magnification: Annotated[int, typer.Option(help="900 or 450")] = 900,
    steps: Annotated[int, typer.Option(help="training steps")] = 10000,
    fields: Annotated[int, typer.Option(help="rendered training fields")] = 480,
    collages: Annotated[int, typer.Option(help="training pictures laid from crops")] = 1200,
    batch: Annotated[int, typer.Option(help="windows of them a step")] = 8,
    validation_slides: Annotated[int, typer.Option(help="slides for the operating point, half without bacilli")] = 40,
    start: Annotated[Path | None, typer.Option(help="checkpoint or package whose network to go on from")] = None,
    seed: Annotated[int, typer.Option(help="of the network's first weights and of the order of samples")] = 1,
    threads: Annotated[int, typer.Option(help="processor cores")] = 2,
    workers: Annotated[int, typer.Option(help="processes that make samples")] = 1,
) -> None:
    """Train on real crops and twin slides, quantise, measure the operating point, write DIR/package."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if magnification not in _SUBJECTS:
        raise typer.BadParameter(f"{magnification}: must be one of {', '.join(map(str, _SUBJECTS))}")
    subject = _SUBJECTS[magnification]
    everything = read_crops(crops)
    laying = _collages(subject, everything, "training")
    real = build_pool(out / "collages", collages, _COLLAGE_SEED, lambda rng, _: laying.lay(rng), threads)
    lone = build_pool(out / "sheets", collages // 2, _SHEET_SEED, lambda rng, _: laying.sheet(rng), threads)
    rendered = build_pool(
        out / "pool", fields, _FIELD_SEED, tile_source(subject, seeds.TRAINING[_FIRST_SLIDE:]), threads
    )
    pools = (rendered, real, rendered, lone)
    torch.manual_seed(seed)
    net = HeatmapNet(subject.stages, len(subject.labels))
    if start is not None:
        start_from(net, start, pools)

    def make(rng: np.random.Generator, slot: int, hard: NDArray[np.int64] | None) -> Sample:
        pool = pools[slot % len(pools)]
        return window(pool, _WINDOW, subject.stride, rng, Photometry(), hard if pool is rendered else None)

    train_in_rounds(
        net,
        rendered,
        subject.separation_px,
        make,
        Schedule(steps=steps, batch=batch, seed=seed, threads=threads, workers=workers),
        out,
        knows=start is not None,
    )
    kept = _collages(subject, everything, "validation")
    shown = build_pool(out / "calibration", 40, 3, tile_source(subject, seeds.CALIBRATION, (_SHEET_PX, _SHEET_PX)))
    laid = build_pool(out / "calibration_collages", 24, 4, lambda rng, _: kept.lay(rng))
    # Crops on their own stain and light wake more of the network than any twin slide does: without them their
    # activations would be clipped, and INT8 would lose what FP32 finds on real pictures.
    alone = build_pool(out / "calibration_sheets", 24, 5, lambda rng, _: kept.sheet(rng))
    pictures = [sample.picture for sample in (*shown, *laid, *alone)]
    recipe = _recipe(subject)
    settle(
        out / "package",
        replace(recipe, training_data=(*recipe.training_data, *first_weights(start))),
        net.folded(),
        pictures,
        lambda folder: _choose(subject, folder, out / "fields", validation_slides),
    )


def _collages(subject: Subject, crops: CropSet, part: str) -> Collages:
    sigma_px = subject.bump_px(0.0)
    return Collages(select(crops, part), subject.scale.native_um_per_px, subject.stride, sigma_px, _SHEET_PX)


def _choose(subject: Subject, folder: Path, kept: Path, slides: int) -> Settled:
    """The threshold that leaves one false finding in a hundred fields of validation slides."""
    tiles = (kept_fields(kept, subject, spec) for spec in lineup(subject, seeds.VALIDATION, slides))
    (measured,) = measure(open_scorer(folder), subject, chain.from_iterable(tiles))
    threshold = measured.threshold_for(_FALSE_PER_FIELD * measured.fields)
    source = (
        f"{slides} twin slides (validation seeds), {measured.fields} fields, {measured.area_mm2:.1f} mm², "
        f"{measured.matches.best.size + measured.unsure.size} bacilli, {measured.matches.best.size} of them within a "
        "depth of field of the focal plane"
    )
    return Settled((threshold,), point_at(measured, threshold, per_cell=False, source=source))


def _recipe(subject: Subject) -> Recipe:
    return Recipe(
        name=subject.name,
        version="0.5.0",
        assay=subject.assay,
        labels=subject.labels,
        scale=subject.scale,
        stride=subject.stride,
        report_threshold=0.2,
        training_data=(
            DataSource(
                name="Makerere AI Lab tuberculosis crops (SylviaCHS/BME590_ML_Final_Project), 7 of 10 source pictures",
                licence="source set CC0 1.0, crops MIT",
                used_for="training; 1 of 10 for calibration",
            ),
            DataSource(
                name="twin sputum slides (engines.training.seeds)",
                licence="Apache-2.0, this repository",
                used_for="training, calibration, operating point",
            ),
        ),
        calibration_source="twin sputum slides, calibration seeds, and collages and sheets of validation crops",
    )


if __name__ == "__main__":
    typer.run(main)
