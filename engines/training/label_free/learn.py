"""Train, quantise, settle and package a label-free engine from a folder of fields of negative slides.

Needs PyTorch (extra `train`); `engines.training.label_free.needs` says so in plain words where it is missing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch

from engines.errors import EngineError
from engines.package import DataSource, EnginePackage, OperatingPointSpec
from engines.training.architecture import INPUT_SCALE, Stage
from engines.training.assess.float_scorer import FloatNetwork
from engines.training.assess.measured import write_measured
from engines.training.augment import Photometry
from engines.training.export import build_onnx
from engines.training.label_free.parity import rank_parity
from engines.training.label_free.pictures import FieldFile, find_fields
from engines.training.label_free.samples import Mixing, Tiles, cut_tiles, draw_window
from engines.training.label_free.settle import FALSE_PER_CELL, Settled, settle
from engines.training.loop import Schedule, train
from engines.training.network import HeatmapNet
from engines.training.packaging import THRESHOLD, Recipe, open_scorer, shift_logits, write_package
from engines.training.settling import FLOAT_FILE
from engines.training.subjects import SEROUS

_log = logging.getLogger(__name__)

FEWEST_FIELDS, FEWEST_NUCLEI, FEWEST_SLIDES = 12, 300, 2
STAGES = (
    Stage(16, kernel=5, stride=2),
    Stage(32, stride=2),
    Stage(32),
    Stage(64, stride=2),
    Stage(64),
    Stage(64),
    Stage(64, dilation=2),
    Stage(64, dilation=2),
    Stage(64, dilation=2),
)
PHOTOMETRY = Photometry(gain=0.10, stain=0.15, gamma=0.08, hue=0.03, blur_px=0.7, noise=3.0, jpeg=0.2)
_CALIBRATION_TILES = 64
_USUAL = Mixing()
_UNMEASURED = OperatingPointSpec(
    name="unmeasured", threshold=THRESHOLD, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none"
)


@dataclass(frozen=True)
class Plan:
    """What to train and for how long. tiles: cut from the fields; steps, batch, seed, threads: see `loop.Schedule`."""

    steps: int = 2400
    tiles: int = 2048
    batch: int = 6
    seed: int = 1
    threads: int = 1
    mixing: Mixing = _USUAL
    stages: tuple[Stage, ...] = STAGES
    name: str = "label-free-serous"
    version: str = "0.1.0"


@dataclass(frozen=True)
class Learned:
    """What came of a training: the package, how it was settled, and how long it took."""

    package: EnginePackage
    settled: Settled
    slides: int
    fields: int
    nuclei: int
    unreadable: tuple[str, ...]
    seconds: float


def split(fields: Sequence[FieldFile]) -> tuple[list[FieldFile], list[FieldFile]]:
    """Fields to train on and fields to settle the threshold on: every fifth slide, at least one, is held back."""
    slides = sorted({f.slide for f in fields})
    held = set(slides[2::5] or slides[-1:])
    return [f for f in fields if f.slide not in held], [f for f in fields if f.slide in held]


def check_fields(fields: Sequence[FieldFile], folder: Path) -> None:
    """Raises EngineError when there are too few fields or slides to learn what is normal."""
    slides = len({f.slide for f in fields})
    if len(fields) < FEWEST_FIELDS or slides < FEWEST_SLIDES:
        raise EngineError(
            f"{folder} holds {len(fields)} pictures of {slides} slides; at least {FEWEST_FIELDS} of at least "
            f"{FEWEST_SLIDES} slides are needed, and dozens of slides are better.",
            remedy="Add fields of more negative slides, one subfolder for each slide.",
        )


def train_net(tiles: Tiles, plan: Plan, out: Path) -> HeatmapNet:
    """A network that tells changed nuclei (first label) from those of the fields (second label)."""
    torch.manual_seed(plan.seed)
    net = HeatmapNet(plan.stages, 2)
    return train(
        net,
        lambda rng, _: draw_window(tiles.tiles, plan.mixing, net.stride, PHOTOMETRY, rng),
        Schedule(steps=plan.steps, batch=plan.batch, seed=plan.seed, threads=plan.threads),
        out,
    )


def learn(folder: Path, out: Path, plan: Plan, work: Path) -> Learned:
    """Train on the fields under `folder` and write a package to `out`.

    `work` keeps the checkpoint and the network before quantisation.

    Raises EngineError when the fields are missing, too few, unreadable or hold too few nuclei.
    """
    started = time.monotonic()
    fields = find_fields(folder)
    check_fields(fields, folder)
    training, held_back = split(fields)
    tiles = cut_tiles(training, plan.tiles, plan.seed)
    held_tiles = cut_tiles(held_back, 4 * _CALIBRATION_TILES, plan.seed + 1)
    nuclei = tiles.nuclei + held_tiles.nuclei
    if nuclei < FEWEST_NUCLEI:
        raise EngineError(
            f"Only {nuclei} nuclei were found in {len(fields)} pictures; at least {FEWEST_NUCLEI} are needed.",
            remedy="Give fields with cells, in focus, at 0.26 to 0.33 µm a pixel.",
        )
    _log.info("%d slides, %d fields, %d nuclei", len({f.slide for f in fields}), len(fields), nuclei)
    net = train_net(tiles, plan, work)
    layers = net.folded()
    every = max(1, len(held_tiles.tiles) // _CALIBRATION_TILES)
    pictures = [t.picture for t in held_tiles.tiles[::every]][:_CALIBRATION_TILES]
    recipe = _recipe(plan, folder.name, len(fields), net.stride)
    write_package(out, recipe, layers, input_scale=INPUT_SCALE, pictures=pictures, point=_UNMEASURED)
    settled = settle(open_scorer(out), held_back, held_tiles, plan.mixing, net.stride)
    shifted = shift_logits(layers, settled.thresholds)
    package = write_package(out, recipe, shifted, input_scale=INPUT_SCALE, pictures=pictures, point=settled.point)
    learned = Learned(
        package,
        settled,
        len({f.slide for f in fields}),
        len(fields),
        nuclei,
        (*tiles.unreadable, *held_tiles.unreadable),
        time.monotonic() - started,
    )
    onnx.save(build_onnx(shifted, INPUT_SCALE, plan.name), work / FLOAT_FILE)
    ranks = rank_parity(FloatNetwork(work / FLOAT_FILE).probabilities, open_scorer(out), pictures)
    _log.info("rank correlation FP32 to INT8 %.4f", ranks)
    command = "cytoscan engine train --label-free DIR"
    write_measured(
        package, {"command": command, "learned": {"facts": _facts(learned), "held_back": _held_back(settled, ranks)}}
    )
    return learned


def _facts(learned: Learned) -> dict[str, str]:
    return {
        "slides": str(learned.slides),
        "fields": str(learned.fields),
        "nuclei found in them": str(learned.nuclei),
        "pictures left out": str(len(learned.unreadable)),
        "minutes of training in all": f"{learned.seconds / 60:.1f}",
    }


def _held_back(settled: Settled, ranks: float) -> dict[str, float]:
    return {
        "slides": settled.slides,
        "fields": settled.fields,
        "cells": settled.cells,
        "false_findings": settled.false_findings,
        "allowed_per_cell": FALSE_PER_CELL,
        "pseudo_sensitivity": settled.pseudo_sensitivity,
        "rank_parity": ranks,
    }


def _recipe(plan: Plan, source: str, fields: int, stride: int) -> Recipe:
    return Recipe(
        name=plan.name,
        version=plan.version,
        assay=SEROUS.assay,
        labels=SEROUS.labels,
        scale=SEROUS.scale,
        stride=stride,
        report_threshold=0.2,
        training_data=(
            DataSource(
                name=f"{source}: {fields} unlabelled fields of negative slides",
                licence="of whoever owns the fields",
                used_for="all training; no cell was labelled and no malignant cell was shown",
            ),
        ),
        calibration_source="held-back negative slides of the same folder",
    )
