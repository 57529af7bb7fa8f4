"""One network on the processor with ONNX Runtime: as the file stands, or as `engines.cpu_rewrite` derives it."""

from __future__ import annotations

import hashlib
import platform
from enum import Enum
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from engines.cpu_rewrite import rewrite
from engines.network import Network

_X86 = frozenset({"x86_64", "AMD64"})
_CPUINFO = Path("/proc/cpuinfo")


class Variant(Enum):
    """Which form of the shipped file runs."""

    AS_IS = "as is"
    REWRITTEN = "rewritten"


def default_variant(machine: str = "") -> Variant:
    """The form for a processor of this architecture (default: this one) on which nothing has been measured.

    Rewritten on x86, where integer kernels read uint8, and on 64-bit Arm: its kernels read int8 too, but with int8
    allowed (session.qdqisint8allowed) ONNX Runtime 1.32 still leaves every convolution of the shipped files in float.
    As is on anything else. `engines.cpu_choice.choose` measures instead.
    """
    known = (machine or platform.machine()) in {*_X86, "aarch64", "arm64"}
    return Variant.REWRITTEN if known else Variant.AS_IS


class CpuNetwork(Network):
    """Runs one ONNX file; the derived form never leaves memory, and its hash says which it was.

    Pictures whose width is a multiple of four run through a faster first layer than others, with the same sums; the
    sessions for the two kinds are opened when first needed. derived_sha256: of the form for widths in fours; empty
    as is.
    """

    def __init__(self, data: bytes, variant: Variant, threads: int) -> None:
        """Open `data`.

        Raises DecodeError when it is no ONNX, BadPackage when its quantisation breaks the rules, and what ONNX
        Runtime raises when it cannot run it.
        """
        self.variant = variant
        self._data = data
        self._threads = threads
        self.derived_sha256 = ""
        self._any: onnxruntime.InferenceSession | None = None
        if variant is Variant.AS_IS:
            self._any = self._fours = open_session(data, threads)
        else:
            derived = self.derive(widths_of_four=True)
            self.derived_sha256 = hashlib.sha256(derived).hexdigest()
            self._fours = open_session(derived, threads)

    @property
    def title(self) -> str:
        """Which form runs, with the beginning of its hash where it was derived."""
        return f"{self.variant.value} {self.derived_sha256[:12]}".rstrip()

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The session for widths in fours."""
        return self._fours

    def run(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> NDArray[np.float32]:
        """Answer (1, labels, h, w) on `picture` (1, H, W, 3)."""
        if picture.shape[2] % 4 == 0:
            session = self._fours
        else:
            self._any = self._any or open_session(self.derive(widths_of_four=False), self._threads)
            session = self._any
        answer: NDArray[np.float32] = session.run([output_name], {input_name: picture})[0]
        return answer

    def derive(self, *, widths_of_four: bool) -> bytes:
        """The derived form of the file; see `engines.cpu_rewrite.rewrite`."""
        derived = rewrite(onnx.load_from_string(self._data), widths_of_four=widths_of_four)
        return bytes(derived.SerializeToString(deterministic=True))


def open_session(data: bytes, threads: int, optimised: Path | None = None) -> onnxruntime.InferenceSession:
    """A session on the processor whose idle threads do not spin: stage and camera are served meanwhile.

    optimised: where to write the graph as ONNX Runtime runs it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if platform.machine() in _X86 and not _sums_are_exact():
        options.add_session_config_entry("session.x64quantprecision", "1")
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _sums_are_exact() -> bool:
    """Whether this x86 processor adds products of 8 bits in 32; without VNNI, pairs of them saturate at 16 bits."""
    try:
        text = _CPUINFO.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags)
