"""Twin slides as folders of fields, and what a package says of them: `python -m engines.training.label_free.twin`.

`write` renders slides: DIR/<seed>-negative or DIR/<seed>-positive, one PNG a field, and beside it where malignant
cells lie (`.truth.csv`: x, y, reach in pixels; no file on negative slides). `measure` reads such a folder.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from engines.decode import find_peaks
from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import load_package
from engines.training import seeds
from engines.training.fields import field_tiles
from engines.training.label_free.pictures import FieldFile, find_fields, read_field
from engines.training.label_free.statistics import SlideCells, poisson_excess, top_mean
from engines.training.metrics import auroc, auroc_interval, match
from engines.training.subjects import SEROUS
from engines.training.twin_tiles import Tile

_log = logging.getLogger(__name__)

POSITIVE, NEGATIVE = "-positive", "-negative"
_PARTS = {"training": seeds.TRAINING, "validation": seeds.VALIDATION, "test": seeds.TEST}
_FLOOR = 0.02
app = typer.Typer(help="Render twin serous slides into folders, and measure a package on them.")


@app.command()
def write(
    out: Annotated[Path, typer.Option(help="Folder of slides; slides that are there already are left as they are.")],
    part: Annotated[str, typer.Option(help="training, validation or test: which seeds.")] = "training",
    first: Annotated[int, typer.Option(help="First slide among the part's seeds.", min=0)] = 0,
    slides: Annotated[int, typer.Option(min=1)] = 48,
    fields: Annotated[int, typer.Option(help="Fields of each slide.", min=1)] = 4,
    malignant: Annotated[float, typer.Option(help="Share of malignant cells on every second slide.")] = 0.0,
) -> None:
    """Render fields near focus; training slides are negative, whatever is asked."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if part not in _PARTS:
        raise EngineError(f"There is no part {part!r}.", remedy=f"Use one of: {', '.join(_PARTS)}.")
    for index in range(first, first + slides):
        rate = malignant if index % 2 == 0 and part != "training" else 0.0
        seed = _PARTS[part][index]
        folder = out / f"{seed}{POSITIVE if rate > 0 else NEGATIVE}"
        if folder.is_dir():
            continue
        fresh = out / f".{folder.name}"
        fresh.mkdir(parents=True, exist_ok=True)
        for number, tile in enumerate(field_tiles(SEROUS, seed, rate, fields)):
            _save(fresh / f"field_{number:03d}.png", tile)
        fresh.rename(folder)
        _log.info("%s: %d fields", folder.name, fields)


def _save(path: Path, tile: Tile) -> None:
    cv2.imwrite(str(path), tile.picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    own = tile.places[tile.labels == 0]
    if own.size:
        scale = SEROUS.microscope.um_per_px
        reach = [SEROUS.match_um(max(w, h) * scale) / scale for w, h in own[:, 2:]]
        np.savetxt(path.with_suffix(".truth.csv"), np.column_stack([own[:, :2], reach]), "%.1f", ",")


@dataclass(frozen=True)
class SlideSeen:
    """What an engine saw on one slide. malignant: best score at each malignant cell (0: nothing found it)."""

    name: str
    positive: bool
    cells: SlideCells
    malignant: NDArray[np.float64]


Look = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float64], NDArray[np.float64], int]]
"""picture → scores (N,), places (N, 2) in pixels, and the number of cells counted."""


def look_with(probabilities: Callable[[NDArray[np.uint8]], NDArray[np.float32]], threshold: float) -> Look:
    """A network as a `Look`: peaks of its target down to 0.02, and benign cells at `threshold`."""

    def look(picture: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
        maps = probabilities(picture)
        scale = SEROUS.microscope.um_per_px
        target, other = (
            find_peaks(maps[i], SEROUS.stride, label.separation_um / scale, floor)
            for i, (label, floor) in enumerate(zip(SEROUS.labels, (_FLOOR, threshold), strict=True))
        )
        found = int((target.probability >= threshold).sum())
        places = np.stack([target.x_px, target.y_px], axis=1).astype(np.float64)
        return target.probability.astype(np.float64), places, int(other.x_px.size) + found

    return look


def see(look: Look, fields: Sequence[FieldFile], most: int | None = None) -> list[SlideSeen]:
    """Every slide among `fields` as `look` sees it, `most` fields of each."""
    slides: dict[str, list[FieldFile]] = {}
    for field in fields:
        slides.setdefault(field.slide, []).append(field)
    return [_see_slide(look, name, files[:most]) for name, files in slides.items()]


def _see_slide(look: Look, name: str, files: list[FieldFile]) -> SlideSeen:
    scores, malignant, cells = [np.zeros(0)], [np.zeros(0)], 0
    for file in files:
        picture = read_field(file.path)
        if picture is None:
            raise EngineError(f"{file.path} cannot be read.", remedy="Render the slides again.")
        seen, places, counted = look(picture)
        scores.append(seen)
        cells += counted
        path = file.path.with_suffix(".truth.csv")
        if path.is_file():
            truth = np.loadtxt(path, delimiter=",", ndmin=2)
            malignant.append(match(seen, places, truth[:, :2], truth[:, 2]).best)
    return SlideSeen(
        name, name.endswith(POSITIVE), SlideCells(np.concatenate(scores), cells), np.concatenate(malignant)
    )


@app.command()
def measure(
    folder: Annotated[Path, typer.Argument(help="Folder of slides, as `write` makes it.")],
    package: Annotated[Path, typer.Option(help="Engine package.")],
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Slide AUROC with its 95 % interval by slide bootstrap, and rates at the package's own threshold."""
    loaded = load_package(package)
    point = loaded.operating_point
    seen = see(look_with(OnnxCpuScorer(loaded).probabilities, point.threshold), find_fields(folder))
    figures = figures_of(seen, point.threshold, point.false_per_cell)
    typer.echo(json.dumps(figures, indent=2))
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def figures_of(seen: list[SlideSeen], threshold: float, false_per_cell: float) -> dict[str, object]:
    """Figures of merit of slides seen. The slide score is the Poisson excess over the package's own false rate."""
    positive = np.array([s.positive for s in seen])
    excess = np.array([poisson_excess(s.cells, threshold, false_per_cell) for s in seen])
    low, high = auroc_interval(excess, positive, np.arange(len(seen)), np.random.default_rng(0), 2000)
    top = np.array([top_mean(s.cells) for s in seen])
    negative = [s.cells for s in seen if not s.positive]
    malignant = np.concatenate([s.malignant for s in seen])
    false = sum(int((c.scores >= threshold).sum()) for c in negative)
    cells = sum(c.cells for c in negative)
    return {
        "slides": len(seen),
        "positive": int(positive.sum()),
        "auroc": round(auroc(excess, positive), 4),
        "auroc_ci": [round(low, 4), round(high, 4)],
        "auroc_top_10": round(auroc(top, positive), 4),
        "malignant_cells": int(malignant.size),
        "sensitivity": round(float((malignant >= threshold).mean()), 4) if malignant.size else None,
        "false_findings": false,
        "cells_on_negative_slides": cells,
        "false_per_cell": round(false / max(1, cells), 6),
        "each": [
            {
                "slide": s.name,
                "cells": s.cells.cells,
                "findings": int((s.cells.scores >= threshold).sum()),
                "excess": round(float(e), 3),
            }
            for s, e in zip(seen, excess, strict=True)
        ],
    }


if __name__ == "__main__":
    app()
