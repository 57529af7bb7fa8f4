"""The network before quantisation, on the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engines.packaging import INPUT_NAME, OUTPUT_NAME


class FloatNetwork:
    """Probability maps of an FP32 ONNX with uint8 NHWC input, on one thread; given as a file or its bytes."""

    def __init__(self, source: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            source if isinstance(source, bytes) else str(source), options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Maps (labels, h, w) of uint8 RGB `image` (H, W, 3)."""
        maps: NDArray[np.float32] = self._session.run([OUTPUT_NAME], {INPUT_NAME: np.ascontiguousarray(image)[None]})[
            0
        ][0]
        return maps
