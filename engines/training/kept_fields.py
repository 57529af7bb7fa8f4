"""Whole fields of twin slides with their truth, kept on disk: rendering one takes longer than scoring it ten times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.training.fields import field_tiles
from engines.training.subjects import Subject
from engines.training.twin_tiles import Tile


@dataclass(frozen=True)
class SlideSpec:
    """One slide to look at: its seed, the share (serous) or density per mm² (afb) of targets, how many fields."""

    seed: int
    rate: float
    fields: int


def kept_fields(folder: Path, subject: Subject, spec: SlideSpec) -> Iterator[Tile]:
    """The fields of one slide, rendered and written under `folder` the first time."""
    name = f"{subject.name}-{spec.seed}-{spec.rate:.6g}".replace(".", "_")
    paths = [folder / f"{name}-{index:03d}.npz" for index in range(spec.fields)]
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        for path, tile in zip(paths, field_tiles(subject, spec.seed, spec.rate, spec.fields), strict=True):
            fresh = path.with_suffix(".new.npz")
            np.savez(
                fresh, picture=tile.picture, labels=tile.labels, places=tile.places, off_focus_um=tile.off_focus_um
            )
            fresh.replace(path)
    for path in paths:
        with np.load(path) as kept:
            yield Tile(kept["picture"], kept["labels"], kept["places"], kept["off_focus_um"])
