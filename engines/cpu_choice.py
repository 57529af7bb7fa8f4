"""Which runtime, and which form of the file, answers fastest on this machine: measured, recorded, and then used."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engines import openvino_cpu
from engines.cpu_network import Variant, default_variant
from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.openvino_cpu import OpenVinoScorer
from engines.package import EnginePackage

_MARGIN = 0.97
"""A contender must be faster by three in a hundred than the default: nearer, a change is not worth having."""
_PARITY = 0.01
"""Largest difference from the default's probabilities, in shares of their range, but for a thousandth of the cells."""


class Contender(Enum):
    """A way to run a package on a processor."""

    REWRITTEN = "onnxruntime, rewritten"
    AS_IS = "onnxruntime, as is"
    OPENVINO = "openvino"


@dataclass(frozen=True)
class Choice:
    """The fastest contender of those that agree, and what it was measured against.

    seconds: median time of a picture by contender. difference: the 99.9th percentile of the difference from the
    default's probabilities, in shares of their range. runtimes: versions; a record made with others is void.
    """

    contender: Contender
    seconds: dict[str, float]
    difference: dict[str, float]
    rounds: int
    threads: int
    onnx_sha256: str
    machine: str
    runtimes: str

    def as_record(self) -> dict[str, object]:
        """Plain JSON data."""
        return {**asdict(self), "contender": self.contender.value}


def available() -> list[Contender]:
    """What can run here; the default first."""
    first = Contender.REWRITTEN if default_variant() is Variant.REWRITTEN else Contender.AS_IS
    others = [c for c in (Contender.REWRITTEN, Contender.AS_IS) if c is not first]
    return [first, *others, *([Contender.OPENVINO] if openvino_cpu.installed() else [])]


def open_as(contender: Contender, package: EnginePackage, threads: int = 1) -> OnnxCpuScorer:
    """A scorer of this kind on the package."""
    if contender is Contender.OPENVINO:
        return OpenVinoScorer(package, threads=threads)
    variant = Variant.REWRITTEN if contender is Contender.REWRITTEN else Variant.AS_IS
    return OnnxCpuScorer(package, threads=threads, variant=variant)


def choose(
    package: EnginePackage,
    picture: NDArray[np.uint8],
    *,
    threads: int = 1,
    rounds: int = 7,
    clock: Callable[[], float] = time.process_time,
) -> Choice:
    """Time all contenders on `picture` (H, W, 3), in turns, after one unmeasured round.

    clock: seconds; the processor's by default, so that what else runs meanwhile does not decide. Raises what opening
    the package and scoring the picture raise.
    """
    scorers = {contender: open_as(contender, package, threads) for contender in available()}
    answers = {contender: scorer.probabilities(picture) for contender, scorer in scorers.items()}
    times: dict[Contender, list[float]] = {contender: [] for contender in scorers}
    for _ in range(rounds):
        for contender, scorer in scorers.items():
            start = clock()
            scorer.probabilities(picture)
            times[contender].append(clock() - start)
    for scorer in scorers.values():
        scorer.close()
    default = next(iter(scorers))
    reach = float(np.ptp(answers[default])) or 1.0
    apart = {c: float(np.quantile(np.abs(a - answers[default]), 0.999)) / reach for c, a in answers.items()}
    medians = {contender: float(np.median(values)) for contender, values in times.items()}
    agreeing = [c for c in scorers if apart[c] <= _PARITY and medians[c] < _MARGIN * medians[default]]
    return Choice(
        min(agreeing, key=lambda c: medians[c], default=default),
        {c.value: seconds for c, seconds in medians.items()},
        {c.value: share for c, share in apart.items()},
        rounds,
        threads,
        package.manifest.onnx.sha256,
        _machine(),
        _runtimes(),
    )


def keep_choice(path: Path, choice: Choice) -> None:
    """Write `choice` into the records at `path`, beside those of other packages."""
    records = {**_records(path), choice.onnx_sha256: choice.as_record()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def open_chosen(package: EnginePackage, path: Path, threads: int = 1) -> OnnxCpuScorer:
    """The scorer that the records at `path` name for this package, machine and runtimes; the default without any.

    Raises EngineError when the records cannot be read.
    """
    record = _records(path).get(package.manifest.onnx.sha256, {})
    valid = (record.get("machine"), record.get("runtimes")) == (_machine(), _runtimes())
    names = {contender.value: contender for contender in available()}
    chosen = names.get(str(record.get("contender"))) if valid else None
    return open_as(chosen or available()[0], package, threads)


def _records(path: Path) -> dict[str, dict[str, object]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _unreadable(path) from error
    if not isinstance(found, dict) or not all(isinstance(record, dict) for record in found.values()):
        raise _unreadable(path)
    return found


def _unreadable(path: Path) -> EngineError:
    return EngineError(
        f"The record of the fastest runtime, {path}, cannot be read.",
        remedy="Delete it and measure again: cytoscan bench engine --keep.",
    )


def _machine() -> str:
    """Architecture and processor, as the machine calls it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        text = ""
    named = (line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name"))
    return f"{platform.machine()} {next(named, platform.processor())}".strip()


def _runtimes() -> str:
    names = [f"onnxruntime {onnxruntime.__version__}"]
    if openvino_cpu.installed():
        names.append(f"openvino {openvino_cpu.version()}")
    return ", ".join(names)
