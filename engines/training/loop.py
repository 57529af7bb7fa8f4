"""The training loop: a seed and a number of threads give one network, and a stopped run goes on where it was.

It runs on a GPU when PyTorch sees one, otherwise on the processor.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from engines.training.loss import penalty_focal_loss
from engines.training.network import HeatmapNet
from engines.training.targets import Sample

_log = logging.getLogger(__name__)

MakeSample = Callable[[np.random.Generator, int], Sample]
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. The rate rises over `warm_up` steps and falls along a cosine to nothing.

    threads: cores of the arithmetic. workers: processes that make samples meanwhile; 0: made in between.
    """

    steps: int
    batch: int = 8
    rate: float = 3e-3
    warm_up: int = 100
    checkpoint_every: int = 200
    seed: int = 1
    threads: int = 1
    workers: int = 0


class _Batches(torch.utils.data.Dataset):
    """Item i is the batch of step `first` + i, the same whoever makes it."""

    def __init__(self, make_sample: MakeSample, schedule: Schedule, first: int) -> None:
        self._make, self._schedule, self._first = make_sample, schedule, first

    def __len__(self) -> int:
        return max(0, self._schedule.steps - self._first)

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng([self._schedule.seed, self._first + index])
        samples = [self._make(rng, slot) for slot in range(self._schedule.batch)]
        pictures = torch.from_numpy(np.stack([s.picture for s in samples])).permute(0, 3, 1, 2)
        target = torch.from_numpy(np.stack([s.target for s in samples]))
        mask = torch.from_numpy(np.stack([s.mask for s in samples]))
        return pictures, target, mask


def train(net: HeatmapNet, make_sample: MakeSample, schedule: Schedule, out: Path) -> HeatmapNet:
    """Train `net` in place and return it ready for export.

    make_sample(rng, slot): one tile; slot counts within the batch, so that sources can be mixed in fixed shares.
    out: folder of `checkpoint.pt`; a run found there is taken up again.
    """
    torch.set_num_threads(schedule.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out.mkdir(parents=True, exist_ok=True)
    net.to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=schedule.rate, weight_decay=1e-4)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, schedule))
    path = out / "checkpoint.pt"
    first = _resume(path, net, optimiser, rate)
    net.train()
    cv2.setNumThreads(1)  # a worker forked from a process with OpenCV's own threads would wait for them for ever
    batches = torch.utils.data.DataLoader(
        _Batches(make_sample, schedule, first),
        batch_size=None,
        num_workers=schedule.workers,
        worker_init_fn=_one_core if schedule.workers else None,
        multiprocessing_context="fork" if schedule.workers else None,
    )
    started, running = time.monotonic(), 0.0
    for step, batch in enumerate(batches, first):
        pictures, target, mask = (part.to(device) for part in batch)
        torch.manual_seed(schedule.seed * 1_000_003 + step)  # what a layer draws, a resumed run draws again
        # bfloat16 halves the time of a step on processors that have it; losses and weights stay in float32.
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = net(pictures.float().contiguous(memory_format=torch.channels_last))
        loss = penalty_focal_loss(logits.float(), target, mask)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        rate.step()
        running += (float(loss.detach()) - running) / min(step - first + 1, 50)
        if (step + 1) % 50 == 0 or step + 1 == schedule.steps:
            left = (time.monotonic() - started) / (step + 1 - first) * (schedule.steps - step - 1)
            _log.info("step %d of %d  loss %.4f  %.0f s left", step + 1, schedule.steps, running, left)
        if (step + 1) % schedule.checkpoint_every == 0 or step + 1 == schedule.steps:
            _save(path, net, optimiser, rate, step + 1)
    return net.to("cpu", memory_format=torch.contiguous_format).eval()


def load_weights(net: HeatmapNet, checkpoint: Path) -> None:
    """Give `net` the weights of a checkpoint of the same architecture, to go on training on other samples."""
    net.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["net"])


def _one_core(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _rate(step: int, schedule: Schedule) -> float:
    if step < schedule.warm_up:
        return (step + 1) / schedule.warm_up
    done = (step - schedule.warm_up) / max(1, schedule.steps - schedule.warm_up)
    return float(0.5 * (1 + np.cos(np.pi * min(1.0, done))))


def _save(
    path: Path,
    net: HeatmapNet,
    optimiser: torch.optim.Optimizer,
    rate: torch.optim.lr_scheduler.LambdaLR,
    step: int,
) -> None:
    state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "rate": rate.state_dict(), "step": step}
    fresh = path.with_suffix(".new")
    torch.save(state, fresh)
    fresh.replace(path)


def _resume(
    path: Path, net: HeatmapNet, optimiser: torch.optim.Optimizer, rate: torch.optim.lr_scheduler.LambdaLR
) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    rate.load_state_dict(state["rate"])
    _log.info("taking up the run at step %d", state["step"])
    return int(state["step"])
