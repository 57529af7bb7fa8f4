"""Measure how near reading fields comes to a network that runs elsewhere, by how fast the network is.

The reader, the journal and the pictures are the real ones. The network's answers are the real network's, too, each
worked out once beforehand; they come after a time that is given, one after another, while this machine's cores are
free: as from a GPU, which is not here. What is measured is whether the host keeps up with it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from appliance.cli.device_pipeline import Pipeline
from appliance.cli.golden_fields import drawn_golden
from appliance.cli.plain_console import plain_console
from appliance.device_report.speed import Speed, speed_of
from appliance.journal import Journal
from appliance.settings import Settings
from engines.cpu_network import CpuNetwork, default_variant
from engines.network import Network
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.scorer import BackendInfo
from engines.tensorrt.signature import FrameSize

_ROUNDS = 5
_Answer = Callable[[], NDArray[np.float32]]


class _Elsewhere(Network):
    """A network whose answers take this long and no processor; another picture is copied while it works on one."""

    def __init__(self, inner: Network, seconds: float) -> None:
        self._inner = inner
        self._seconds = seconds
        self._known: dict[bytes, NDArray[np.float32]] = {}
        self._memory: NDArray[np.uint8] | None = None
        self._free_s = 0.0

    def run(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> NDArray[np.float32]:
        """What the inner one says, in time."""
        return self.start(picture, input_name, output_name)()

    def start(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> _Answer:
        """Begins when it is done with the picture before."""
        answer = self._answer(picture, input_name, output_name)
        self._memory = picture.copy()  # as into the GPU's memory
        done_s = self._free_s = max(time.perf_counter(), self._free_s) + self._seconds

        def waited() -> NDArray[np.float32]:
            time.sleep(max(0.0, done_s - time.perf_counter()))
            return answer

        return waited

    def _answer(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> NDArray[np.float32]:
        key = picture[:, ::61, ::67].tobytes()
        if key not in self._known:
            self._known[key] = self._inner.run(picture, input_name, output_name)
        return self._known[key]


class _ElsewhereScorer(OnnxCpuScorer):
    """A package on such a network."""

    def __init__(self, package: EnginePackage, seconds: float) -> None:
        backend = BackendInfo("bench", package.title, package.manifest.onnx.sha256, "elsewhere")
        inner = CpuNetwork(package.onnx_bytes, default_variant(), threads=1)
        self._take(package, _Elsewhere(inner, seconds), backend)


def bench_pipeline(
    package: EnginePackage, frame: FrameSize, network_ms: Sequence[float], fields: int, settings: Settings
) -> dict[str, object]:
    """For each speed of the network, medians in milliseconds a field over so many fields, measured in turns.

    end_to_end_vs_engine_only: throughput of reading over the network's own. Raises EngineError.
    """
    console = plain_console(errors=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        golden = drawn_golden(package, frame, Path(folder) / "golden")
        for each_ms in network_ms:
            path = Path(folder) / f"{each_ms:g}.sqlite"
            with Journal.open(path) as journal, closing(_ElsewhereScorer(package, each_ms / 1e3)) as scorer:
                pipeline = Pipeline(package, scorer, golden, settings, journal, lambda: None)
                speed = _measured(pipeline, fields, pictures=len(golden.fields))
            rows.append({"network_ms": each_ms, **_figures(speed)})
            console.print(
                f"network {each_ms:g} ms: {rows[-1]['end_to_end_ms']:.1f} ms a field, "
                f"{speed.ratio:.2f} of the network's own speed"
            )
    return {"frame": f"{frame.width_px}x{frame.height_px}", "engine": package.title, "fields": fields, "speeds": rows}


def _measured(pipeline: Pipeline, fields: int, pictures: int) -> Speed:
    pipeline.engine_only(pictures)  # each picture is known from now on, on both ways
    pipeline.end_to_end(pictures)
    engine_only, end_to_end, alone = [], [], []
    each = -(-fields // _ROUNDS)
    for _ in range(_ROUNDS):
        engine_only += pipeline.engine_only(each)
        end_to_end += pipeline.end_to_end(each)
        alone += pipeline.alone(each)
    return speed_of(engine_only, end_to_end, alone)


def _figures(speed: Speed) -> dict[str, float]:
    return {
        "engine_only_ms": 1e3 * speed.engine_only.median_s,
        "end_to_end_ms": 1e3 * speed.end_to_end.median_s,
        "end_to_end_vs_engine_only": speed.ratio,
        "ideal_ms": 1e3 * speed.ideal_s,
        **{f"{name}_alone_ms": 1e3 * spread.median_s for name, spread in speed.stages.items()},
    }
