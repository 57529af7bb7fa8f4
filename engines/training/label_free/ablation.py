"""Which label-free method finds slides with malignant cells: `python -m engines.training.label_free.ablation --help`.

Every row learns from the same unlabelled negative fields and is measured on the same slides; thresholds come from
negative slides that no row learned from.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from engines.decode import find_peaks
from engines.training.assess.card_label_free import ablation_table
from engines.training.label_free.atypia import Traits
from engines.training.label_free.learn import PHOTOMETRY, STAGES, Plan, split, train_net
from engines.training.label_free.nuclei import find_nuclei
from engines.training.label_free.oneclass import (
    Diagonal,
    Features,
    features_of,
    fit_diagonal,
    train_encoder,
    train_student,
)
from engines.training.label_free.pictures import FieldFile, find_fields
from engines.training.label_free.samples import Mixing, Tiles, cut_tiles
from engines.training.label_free.statistics import aggregate
from engines.training.label_free.twin import Look, see
from engines.training.metrics import auroc
from engines.training.network import HeatmapNet
from engines.training.subjects import SEROUS

_log = logging.getLogger(__name__)

FULL = Mixing()
MIXINGS = {
    "size only": Mixing(traits=Traits(membrane=0.0, chromatin=0.0, nucleoli=0.0)),
    "size, membrane": Mixing(traits=Traits(chromatin=0.0, nucleoli=0.0)),
    "size, membrane, chromatin": Mixing(traits=Traits(nucleoli=0.0)),
    "all four": FULL,
    "all four, no sham": replace(FULL, sham=0.0),
    "all four, 5 % atypical": replace(FULL, atypical=0.05),
}
_FIT_TILES = 400


@dataclass(frozen=True)
class Bench:
    """What all rows share: tiles to learn from, held-back negative fields for thresholds, slides to be measured on."""

    tiles: Tiles
    held_back: list[FieldFile]
    slides: list[FieldFile]
    most: int
    steps: int
    out: Path

    def row(self, method: str, look: Look, started: float) -> dict[str, object]:
        """Slide AUROC of a method by aggregation, and its minutes of training."""
        minutes = (time.monotonic() - started) / 60
        negatives = [s.cells for s in see(look, self.held_back)]
        seen = see(look, self.slides, self.most)
        positive = np.array([s.positive for s in seen])
        scores = aggregate([s.cells for s in seen], negatives)
        figures = {name: round(auroc(values, positive), 3) for name, values in scores.items()}
        _log.info("%s: %s", method, figures)
        return {"method": method, "minutes": round(minutes, 1), "auroc": figures}


def look_by_size(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The diameter of each nucleus by stain density, with no training at all."""
    nuclei = find_nuclei(picture)
    places = np.stack([nuclei.x, nuclei.y], axis=1).astype(np.float64)
    return nuclei.radius.astype(np.float64), places, int(nuclei.x.size)


def look_by_features(
    features: Features, score: Callable[[NDArray[np.uint8], NDArray[np.float64]], NDArray[np.float64]]
) -> Look:
    """A score of each nucleus from its features; score(picture, features) → (N,)."""

    def look(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        nuclei = find_nuclei(picture)
        places = np.stack([nuclei.x, nuclei.y], axis=1).astype(np.float64)
        return score(picture, features(picture, nuclei)), places, int(nuclei.x.size)

    return look


def look_by_distance(features: Features, spread: Diagonal) -> Look:
    """How far the features of each nucleus lie from those of negative slides."""
    return look_by_features(features, lambda _, seen: spread.distance(seen))


def look_by_net(net: HeatmapNet) -> Look:
    """Peaks of the first label's logits, and of the second label's above 0.5."""
    net.to(memory_format=torch.channels_last)

    def look(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        planes = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            maps = torch.sigmoid(net(planes.contiguous(memory_format=torch.channels_last)).float())[0].numpy()
        scale = SEROUS.microscope.um_per_px
        target = find_peaks(maps[0], SEROUS.stride, SEROUS.labels[0].separation_um / scale, 0.02)
        other = find_peaks(maps[1], SEROUS.stride, SEROUS.labels[1].separation_um / scale, 0.3)
        p = np.clip(target.probability.astype(np.float64), 0.02, 1 - 1e-6)
        return (
            np.log(p / (1 - p)),
            np.stack([target.x_px, target.y_px], axis=1).astype(np.float64),
            int(other.x_px.size),
        )

    return look


def rows(bench: Bench, chosen: Sequence[str]) -> Iterator[dict[str, object]]:
    """One row for each method, cheapest first; a method whose name holds none of `chosen` is left out."""
    if _wanted("nucleus size, no training", chosen):
        yield bench.row("nucleus size, no training", look_by_size, time.monotonic())
    if _wanted("one-class", chosen):
        yield from _one_class(bench)
    for name, mixing in MIXINGS.items():
        if _wanted(f"pseudo-atypia: {name}", chosen):
            started = time.monotonic()
            plan = Plan(steps=bench.steps, mixing=mixing)
            net = train_net(bench.tiles, plan, bench.out / name.replace(" ", "-").replace(",", ""))
            yield bench.row(f"pseudo-atypia: {name}", look_by_net(net), started)
            if mixing is FULL:
                features = features_of(net)
                spread = fit_diagonal(features, bench.tiles.tiles[:_FIT_TILES])
                look = look_by_distance(features, spread)
                yield bench.row("one-class: diagonal on the features of pseudo-atypia", look, started)


def _one_class(bench: Bench) -> Iterator[dict[str, object]]:
    started = time.monotonic()
    encoder = train_encoder(bench.tiles.tiles, STAGES, bench.steps, PHOTOMETRY, 1)
    features = features_of(encoder)
    spread = fit_diagonal(features, bench.tiles.tiles[:_FIT_TILES])
    # Collapse would show here: a channel that says the same of every nucleus has no spread.
    _log.info("spread of the encoder's channels: median %.3f", float(np.median(np.sqrt(spread.variance))))
    yield bench.row("one-class: diagonal on VICReg", look_by_distance(features, spread), started)
    student = features_of(train_student(encoder, bench.tiles.tiles, bench.steps, PHOTOMETRY, 1))

    def difference(picture: NDArray[np.uint8], seen: NDArray[np.float64]) -> NDArray[np.float64]:
        copied = student(picture, find_nuclei(picture))
        return np.asarray(((copied - seen) ** 2 / spread.variance).mean(axis=1), np.float64)

    yield bench.row("one-class: student and teacher", look_by_features(features, difference), started)


def _wanted(method: str, chosen: Sequence[str]) -> bool:
    return not chosen or any(part in method for part in chosen)


def main(
    negatives: Annotated[Path, typer.Option(help="Fields of negative slides to learn from.")],
    slides: Annotated[Path, typer.Option(help="Validation slides, as `twin write` makes them.")],
    out: Annotated[Path, typer.Option(help="Folder of checkpoints and of ablation.json.")],
    *,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of every row.")] = 600,
    tiles: Annotated[int, typer.Option(min=1)] = 2048,
    fields: Annotated[int, typer.Option(min=1, help="Fields of each validation slide.")] = 12,
    only: Annotated[list[str] | None, typer.Option(help="Rows whose name holds this; may be repeated.")] = None,
) -> None:
    """Train every method alike, and print slide AUROC by method and aggregation."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    training, held_back = split(find_fields(negatives))
    bench = Bench(cut_tiles(training, tiles, 1), held_back, find_fields(slides), fields, steps, out)
    results = []
    for row in rows(bench, only or []):
        results.append(row)
        out.mkdir(parents=True, exist_ok=True)
        (out / "ablation.json").write_text(json.dumps(results, indent=2), encoding="utf-8")
    typer.echo(ablation_table(results))


if __name__ == "__main__":
    typer.run(main)
