"""Which form of a network runs faster on this machine: measured, in turns, and told in a form that can be kept."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engines.cpu_network import Variant
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage

_MARGIN = 0.97
"""Times within three in a hundred of each other are taken as equal; then the form with fewer float layers runs."""


@dataclass(frozen=True)
class VariantChoice:
    """The faster form, and what it was measured against. seconds: median time of a picture by form."""

    variant: Variant
    seconds: dict[str, float]
    rounds: int
    threads: int
    onnx_sha256: str
    machine: str
    runtime: str

    def as_record(self) -> dict[str, object]:
        """Plain JSON data."""
        return {**vars(self), "variant": self.variant.value}


def choose_variant(
    package: EnginePackage,
    picture: NDArray[np.uint8],
    *,
    threads: int = 1,
    rounds: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> VariantChoice:
    """Time both forms of the package's network on `picture` (H, W, 3), in turns, after one unmeasured round.

    clock: seconds. Raises what opening the package and scoring the picture raise.
    """
    scorers = {variant: OnnxCpuScorer(package, threads=threads, variant=variant) for variant in Variant}
    times: dict[Variant, list[float]] = {variant: [] for variant in Variant}
    for scorer in scorers.values():
        scorer.probabilities(picture)
    for _ in range(rounds):
        for variant, scorer in scorers.items():
            start = clock()
            scorer.probabilities(picture)
            times[variant].append(clock() - start)
    for scorer in scorers.values():
        scorer.close()
    medians = {variant: float(np.median(values)) for variant, values in times.items()}
    as_is_wins = medians[Variant.AS_IS] < _MARGIN * medians[Variant.REWRITTEN]
    return VariantChoice(
        Variant.AS_IS if as_is_wins else Variant.REWRITTEN,
        {variant.value: seconds for variant, seconds in medians.items()},
        rounds,
        threads,
        package.manifest.onnx.sha256,
        platform.machine(),
        f"onnxruntime {onnxruntime.__version__}",
    )
