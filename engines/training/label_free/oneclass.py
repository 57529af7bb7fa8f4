"""One-class scores for comparison: an encoder trained without labels, and how far a nucleus lies from what it knows.

The encoder is trained by VICReg (Bardes et al. 2022) on pairs of views of one nucleus under two stains, lamps and
cameras. Scores: distance from the mean in units of the variance of each channel (PaDiM with a diagonal covariance,
Defard et al. 2021), or the squared difference to a student that learned to imitate the encoder on negative slides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from engines.training.architecture import INPUT_SCALE, Stage
from engines.training.augment import Photometry, vary
from engines.training.export import GREY
from engines.training.label_free.nuclei import Nuclei
from engines.training.label_free.samples import UnlabelledTile
from engines.training.network import HeatmapNet

CROP_PX = 96
_BATCH = 48
_STRIDE = 8

Features = Callable[[NDArray[np.uint8], Nuclei], NDArray[np.float64]]


def features_of(net: HeatmapNet) -> Features:
    """Features (N, channels) of nuclei: the body's answer, averaged over 3 x 3 cells about each centre."""

    def features(picture: NDArray[np.uint8], nuclei: Nuclei) -> NDArray[np.float64]:
        if nuclei.x.size == 0:
            return np.zeros((0, net.stages[-1].channels))
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            maps = net.body((_tensor(picture[None]) - GREY) * INPUT_SCALE).float()
        smooth = nn.functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)[0].numpy()
        row = np.clip(np.rint(nuclei.y / _STRIDE).astype(np.intp), 0, smooth.shape[1] - 1)
        col = np.clip(np.rint(nuclei.x / _STRIDE).astype(np.intp), 0, smooth.shape[2] - 1)
        return smooth[:, row, col].T.astype(np.float64)

    return features


def train_encoder(
    tiles: Sequence[UnlabelledTile], stages: Sequence[Stage], steps: int, how: Photometry, seed: int
) -> HeatmapNet:
    """An encoder to which two views of one nucleus look alike and different nuclei do not."""
    torch.manual_seed(seed)
    net = HeatmapNet(stages, 1)
    width = stages[-1].channels
    head = nn.Sequential(nn.Linear(width, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 128))
    optimiser = torch.optim.AdamW([*net.body.parameters(), *head.parameters()], lr=2e-3, weight_decay=1e-4)
    middle = slice(CROP_PX // 2 // _STRIDE - 1, CROP_PX // 2 // _STRIDE + 2)
    for step in range(steps):
        rng = np.random.default_rng([seed, step])
        crops = [_crop(tiles, rng) for _ in range(_BATCH)]
        views = np.stack([_view(crop, how, rng) for _ in range(2) for crop in crops])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            maps = net.body((_tensor(views) - GREY) * INPUT_SCALE)
        answers = head(maps[:, :, middle, middle].float().mean(dim=(2, 3)))
        loss = _vicreg(answers[:_BATCH], answers[_BATCH:])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return net.eval()


def train_student(
    teacher: HeatmapNet, tiles: Sequence[UnlabelledTile], steps: int, how: Photometry, seed: int
) -> HeatmapNet:
    """A student of the same shape that imitates the teacher's features on negative slides only."""
    torch.manual_seed(seed + 1)
    student = HeatmapNet(teacher.stages, 1)
    optimiser = torch.optim.AdamW(student.body.parameters(), lr=2e-3, weight_decay=1e-4)
    for step in range(steps):
        rng = np.random.default_rng([seed, 1, step])
        views = np.stack([_view(_crop(tiles, rng), how, rng) for _ in range(_BATCH)])
        pictures = (_tensor(views) - GREY) * INPUT_SCALE
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                wanted = teacher.body(pictures)
            answer = student.body(pictures)
        loss = ((answer.float() - wanted.float()) ** 2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return student.eval()


@dataclass(frozen=True)
class Diagonal:
    """Mean and variance of each channel over the nuclei of negative slides; kept in floating point."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    def distance(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the channels of (feature - mean)² / variance, (N,)."""
        return np.asarray(((features - self.mean) ** 2 / self.variance).mean(axis=1), np.float64)


def fit_diagonal(features: Features, tiles: Sequence[UnlabelledTile]) -> Diagonal:
    """Statistics over the nuclei of `tiles`."""
    seen = np.concatenate([features(tile.picture, tile.nuclei) for tile in tiles])
    return Diagonal(seen.mean(axis=0), seen.var(axis=0) + 1e-6)


def _tensor(pictures: NDArray[np.uint8]) -> torch.Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
    return planes.contiguous(memory_format=torch.channels_last)


def _crop(tiles: Sequence[UnlabelledTile], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A crop with a nucleus in its middle."""
    half = CROP_PX // 2
    while True:
        tile = tiles[int(rng.integers(len(tiles)))]
        side = tile.picture.shape[0]
        x, y = np.rint(tile.nuclei.x).astype(int), np.rint(tile.nuclei.y).astype(int)
        inside = np.flatnonzero((x >= half) & (y >= half) & (x < side - half) & (y < side - half))
        if inside.size:
            one = int(rng.choice(inside))
            return tile.picture[y[one] - half : y[one] + half, x[one] - half : x[one] + half]


def _view(crop: NDArray[np.uint8], how: Photometry, rng: np.random.Generator) -> NDArray[np.uint8]:
    turned = np.rot90(crop, int(rng.integers(4)))
    if rng.random() < 0.5:
        turned = turned[::-1]
    return vary(np.roll(turned, rng.integers(-4, 5, 2), axis=(0, 1)), rng, how)


def _vicreg(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Invariance, variance (at least 1 in each channel: no collapse) and covariance terms; weights 25, 25, 1."""
    loss = 25.0 * nn.functional.mse_loss(one, other)
    for answers in (one, other):
        centred = answers - answers.mean(dim=0)
        spread = torch.sqrt(centred.var(dim=0) + 1e-4)
        covariance = (centred.T @ centred) / (len(answers) - 1)
        off = covariance - torch.diag(torch.diag(covariance))
        loss = loss + 12.5 * torch.relu(1.0 - spread).mean() + (off**2).sum() / answers.shape[1]
    return loss
