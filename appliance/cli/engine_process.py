"""One way to run an engine, in a process of its own: timed on request, its peak memory told at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import onnx

from appliance.cli.peak_memory import peak_mb
from engines.cpu_choice import Contender, open_as
from engines.cpu_network import Variant
from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, load_package
from engines.qdq_float import to_float

FP32 = "onnxruntime, fp32"


@dataclass(frozen=True)
class Run:
    """One field from the uint8 frame to its findings. wall_s, cpu_s: time on the wall and of this process's cores."""

    wall_s: float
    cpu_s: float
    findings: int


class EngineProcess:
    """A contender in its process: `measure` runs one field, `peak_mb` asks for the peak memory so far."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self._connection = connection

    def measure(self) -> Run:
        """Run one field."""
        wall_s, cpu_s, findings = self._ask("run")
        return Run(wall_s, cpu_s, int(findings))

    def peak_mb(self) -> float:
        """Largest resident memory of the process, libraries and the picture included, in MB of 2^20 bytes."""
        return float(self._ask("peak")[0])

    def wait_until_ready(self) -> None:
        """Return when the network is open and has run once. Raises EngineError when it could not be opened."""
        self._ask("ready")

    def _ask(self, question: str) -> tuple[float, ...]:
        try:
            self._connection.send(question)
            answer = self._connection.recv()
        except (EOFError, BrokenPipeError) as error:
            raise EngineError(f"{self.name} ended without an answer.", remedy="See what it wrote above.") from error
        if isinstance(answer, str):
            raise EngineError(f"{self.name} cannot run: {answer}", remedy="Leave it out, or install it again.")
        return tuple(answer)


@contextmanager
def engine_process(name: str, package: Path, picture: Path, um_per_px: float, threads: int) -> Iterator[EngineProcess]:
    """A contender by name (FP32, or a `Contender`'s value) on a package's folder and a picture saved by numpy."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, name, package, picture, um_per_px, threads), daemon=True)
    process.start()
    theirs.close()
    try:
        yield EngineProcess(name, ours)
    finally:
        ours.close()
        process.join(timeout=10)
        if process.is_alive():
            process.terminate()
            process.join()


def open_contender(name: str, package: EnginePackage, threads: int) -> OnnxCpuScorer:
    """The scorer that `name` stands for; FP32 is the file's own network without quantisation of activations."""
    if name == FP32:
        wide = to_float(onnx.load_from_string(package.onnx_bytes)).SerializeToString()
        return OnnxCpuScorer(replace(package, onnx_bytes=wide), threads=threads, variant=Variant.AS_IS)
    return open_as(Contender(name), package, threads)


def _serve(connection: Connection, name: str, package: Path, picture: Path, um_per_px: float, threads: int) -> None:
    """The child: answers questions until the other end is closed."""
    cv2.setNumThreads(threads)
    frame = np.load(picture)
    try:
        scorer = open_contender(name, load_package(package), threads)
        scorer.score(frame, um_per_px)
    except EngineError as error:
        connection.recv()
        connection.send(error.what)
        return
    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        if question == "run":
            wall, cpu = time.perf_counter(), time.process_time()
            findings = scorer.score(frame, um_per_px)
            connection.send((time.perf_counter() - wall, time.process_time() - cpu, len(findings)))
        else:
            connection.send((peak_mb(),))
