"""Measure how fast fields are scored: this product's runtime against others on the same network, in turns.

Each contender runs in a process of its own and does the whole work, from the uint8 frame to the findings. Contenders
take turns in one run, so that what else the machine does meets all alike. At one thread the time is the processor's,
which on an idle machine is the time on the wall; at two threads it is the time on the wall.
"""

from __future__ import annotations

import platform
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.cli.engine_process import FP32, EngineProcess, Run, engine_process
from appliance.cli.plain_console import plain_console
from engines.cpu_choice import Contender, available, choose, keep_choice
from engines.package import load_package

FIELD_PX = (1208, 1928)
_CELLS = 220
_RODS = 40

_NO_OPENVINO = "OpenVINO is not installed: it is left out (pip install 'cytoscan-appliance[openvino]')."


@dataclass(frozen=True)
class Measured:
    """One contender at one number of threads."""

    runs: list[Run]
    peak_mb: float

    @property
    def wall_ms(self) -> float:
        """Median time of a field on the wall."""
        return 1e3 * median(run.wall_s for run in self.runs)

    @property
    def cpu_ms(self) -> float:
        """Median time of a field on all cores."""
        return 1e3 * median(run.cpu_s for run in self.runs)


def bench_engine(packages: dict[str, Path], rounds: int, seed: int, *, keep: Path | None = None) -> dict[str, object]:
    """Figures by assay, and at the top the worst over assays. packages: assay → folder of its engine package.

    keep: where to record the contender that is fastest at one thread and agrees with the default, to be used from
    now on. Raises EngineError and BadPackage.
    """
    console = plain_console(errors=True)
    if Contender.OPENVINO not in available():
        console.print(_NO_OPENVINO)
    assays = {}
    for assay, folder in packages.items():
        figures = _one(folder, rounds, seed, keep)
        assays[assay] = figures
        times = ", ".join(f"{name} {ms:.0f}" for name, ms in figures["ms_1_thread"].items())
        console.print(f"{assay}, ms of processor time a field on 1 thread: {times}")
    return {
        "machine": f"{platform.machine()}, {platform.processor() or 'processor not named'}",
        **{key: _worst(key, [figures[key] for figures in assays.values()]) for key in _HEADLINES},
        "assays": assays,
    }


_HEADLINES = (
    "int8_vs_fp32_1_thread",
    "int8_vs_openvino_1_thread",
    "onnxruntime_vs_openvino_1_thread",
    "ms_per_field_2_threads",
    "peak_mb",
)


def _worst(key: str, values: list[object]) -> float | None:
    """The least of ratios, the most of times and memory; None when one is missing."""
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) < len(values):
        return None
    return min(numbers) if "_vs_" in key else max(numbers)


def _one(folder: Path, rounds: int, seed: int, keep: Path | None) -> dict[str, Any]:
    package = load_package(folder)
    picture = synthetic_field(seed)
    names = [contender.value for contender in available()] + [FP32]
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        frame = Path(place) / "field.npy"
        np.save(frame, picture)
        scale = package.manifest.scale.native_um_per_px
        one = _measure(names, folder, frame, scale, 1, rounds)
        two = _measure(names, folder, frame, scale, 2, rounds)
    choice = choose(package, picture)
    if keep is not None:
        keep_choice(keep, choice)
    ours, rewritten = choice.contender.value, Contender.REWRITTEN.value
    openvino = one[Contender.OPENVINO.value].cpu_ms if Contender.OPENVINO.value in one else None
    return {
        "engine": package.title,
        "onnx_sha256": package.manifest.onnx.sha256,
        "runtime": ours,
        "int8_vs_fp32_1_thread": one[FP32].cpu_ms / one[ours].cpu_ms,
        "int8_vs_openvino_1_thread": None if openvino is None else openvino / one[ours].cpu_ms,
        "onnxruntime_vs_fp32_1_thread": one[FP32].cpu_ms / one[rewritten].cpu_ms,
        "onnxruntime_vs_openvino_1_thread": None if openvino is None else openvino / one[rewritten].cpu_ms,
        "int8_vs_as_is_1_thread": one[Contender.AS_IS.value].cpu_ms / one[ours].cpu_ms,
        "ms_per_field_1_thread": one[ours].wall_ms,
        "ms_per_field_2_threads": two[ours].wall_ms,
        "peak_mb": max(one[ours].peak_mb, two[ours].peak_mb),
        "findings": {name: measured.runs[0].findings for name, measured in one.items()},
        "ms_1_thread": {name: measured.cpu_ms for name, measured in one.items()},
        "wall_ms_1_thread": {name: measured.wall_ms for name, measured in one.items()},
        "wall_ms_2_threads": {name: measured.wall_ms for name, measured in two.items()},
        "peak_mb_by_runtime": {name: max(one[name].peak_mb, two[name].peak_mb) for name in names},
        "choice": choice.as_record(),
        "rounds": rounds,
    }


def _measure(
    names: list[str], folder: Path, frame: Path, um_per_px: float, threads: int, rounds: int
) -> dict[str, Measured]:
    with ExitStack() as stack:
        processes: list[EngineProcess] = [
            stack.enter_context(engine_process(name, folder, frame, um_per_px, threads)) for name in names
        ]
        for process in processes:
            process.wait_until_ready()
        runs: dict[str, list[Run]] = {name: [] for name in names}
        for _ in range(rounds):
            for process in processes:
                runs[process.name].append(process.measure())
        return {process.name: Measured(runs[process.name], process.peak_mb()) for process in processes}


def synthetic_field(seed: int) -> NDArray[np.uint8]:
    """A field that keeps every layer busy: stained cells with nuclei, red rods, a background that is not even, noise.

    Made here, without the twin: it is to be scored quickly, not rightly. uint8 RGB (1208, 1928, 3).
    """
    rng = np.random.default_rng(seed)
    height, width = FIELD_PX
    picture = np.full((height, width, 3), (214, 208, 218), np.uint8)
    for _ in range(_CELLS):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        size = float(rng.uniform(12, 30))
        cell = (int(size), int(size * rng.uniform(0.7, 1)))
        cv2.ellipse(picture, centre, cell, float(rng.uniform(0, 180)), 0, 360, (176, 168, 208), -1, cv2.LINE_AA)
        nucleus = (max(2, int(size * rng.uniform(0.4, 0.7))),) * 2
        cv2.ellipse(picture, centre, nucleus, 0, 0, 360, (96, 70, int(rng.integers(130, 170))), -1, cv2.LINE_AA)
    for _ in range(_RODS):
        start = rng.uniform((0, 0), (width, height))
        end = start + rng.uniform(-14, 14, 2)
        line = tuple(tuple(int(v) for v in point) for point in (start, end))
        cv2.line(picture, line[0], line[1], (200, 40, 96), 3, cv2.LINE_AA)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.2), np.uint8)
    shade = np.linspace(0.94, 1.04, width, dtype=np.float32)[None, :, None]
    noise = rng.normal(0, 3, picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture * shade + noise, 0, 255), np.uint8)
