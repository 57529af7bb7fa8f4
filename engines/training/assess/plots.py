"""Pictures beside a model card: the FROC curve, the witness curve, the best and the worst findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from engines.decode import find_peaks
from engines.training.assess.objects import froc, together
from engines.training.fields import Measured, Network, on_border
from engines.training.metrics import match
from engines.training.subjects import Subject
from engines.training.twin_tiles import UNCERTAIN, Tile

mpl.use("Agg")

_RATES = np.geomspace(0.001, 10.0, 41)
_SHOWN = 10
_FLOOR = 0.2
_SHOWN_UM = {"serous": 48.0, "afb": 14.0}
_SIDE_PX = 120
_CAPTION_PX = 18


def plot_froc(path: Path, parts: Sequence[Measured], depth_um: float, title: str) -> None:
    """Sensitivity against false findings a field: of all objects, and of those in focus."""
    whole = together(parts)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    lowest = 1.0 / whole.fields
    for within, name in ((np.inf, "within a depth of field"), (depth_um / 2, "within half a depth of field")):
        axes.plot(_RATES, [froc(whole, float(rate), within) for rate in _RATES], label=f"objects {name}")
    axes.axvspan(_RATES[0], lowest, color="0.9", label=f"below one in {whole.fields} fields")
    axes.set(xscale="log", ylim=(0, 1), xlabel="false findings a field", ylabel="sensitivity", title=title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def plot_witness(path: Path, rows: Sequence[dict[str, float]], title: str) -> None:
    """Slide AUROC against the share of target cells, with the 95 % interval; rows: share, auroc, low, high."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    shares = [100 * row["share"] for row in rows]
    axes.plot(shares, [row["auroc"] for row in rows], marker="o")
    axes.fill_between(shares, [row["low"] for row in rows], [row["high"] for row in rows], alpha=0.25)
    axes.axhline(0.5, color="0.6", linestyle=":")
    axes.set(
        xscale="log", ylim=(0.4, 1.01), xlabel="malignant among nucleated cells, %", ylabel="slide AUROC", title=title
    )
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def picture_findings(path: Path, network: Network, subject: Subject, tiles: Iterable[Tile]) -> None:
    """Two rows: the ten true findings with the highest probability, and the ten false ones."""
    best: list[tuple[float, NDArray[np.uint8]]] = []
    worst: list[tuple[float, NDArray[np.uint8]]] = []
    scale = subject.microscope.um_per_px
    for tile in tiles:
        heat = network.probabilities(tile.picture)[0]
        peaks = find_peaks(heat, subject.stride, subject.labels[0].separation_um / scale, _FLOOR)
        places = np.stack([peaks.x_px, peaks.y_px], axis=1).astype(np.float64)
        named = (tile.labels == 0) | (tile.labels == UNCERTAIN)
        reach = np.array([subject.match_um(max(w, h) * scale) / scale for _, _, w, h in tile.places[named]])
        matches = match(peaks.probability.astype(np.float64), places, tile.places[named, :2], reach)
        cut = on_border(matches.places, tile, subject)
        for score, true, place in zip(matches.scores[~cut], matches.true[~cut], matches.places[~cut], strict=True):
            (best if true else worst).append((float(score), _cut(tile.picture, place, subject)))
        best, worst = (sorted(row, key=lambda item: -item[0])[:_SHOWN] for row in (best, worst))
    sheet = np.concatenate([_row(best), _row(worst)])
    cv2.imwrite(str(path), sheet[:, :, ::-1])


def _cut(picture: NDArray[np.uint8], place: NDArray[np.float64], subject: Subject) -> NDArray[np.uint8]:
    side = round(_SHOWN_UM[subject.assay] / subject.microscope.um_per_px)
    cut = cv2.getRectSubPix(picture, (side, side), (float(place[0]), float(place[1])))
    return np.asarray(cv2.resize(cut, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_CUBIC), np.uint8)


def _row(items: Sequence[tuple[float, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    row = np.full((_SIDE_PX + _CAPTION_PX, _SHOWN * (_SIDE_PX + 2), 3), 255, np.uint8)
    for index, (score, cut) in enumerate(items):
        left = index * (_SIDE_PX + 2)
        row[:_SIDE_PX, left : left + _SIDE_PX] = cut
        place = (left + 4, _SIDE_PX + 13)
        cv2.putText(row, f"{score:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return row
