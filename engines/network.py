"""What runs a package's network, whichever runtime it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Network(Protocol):
    """What a scorer asks of a runtime."""

    def run(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> NDArray[np.float32]:
        """Answer (1, labels, h, w) on `picture` (1, H, W, 3)."""

    def start(self, picture: NDArray[np.uint8], input_name: str, output_name: str) -> Callable[[], NDArray[np.float32]]:
        """Start on a picture; what is returned waits for the answer. A processor has it at once."""
        answer = self.run(picture, input_name, output_name)
        return lambda: answer
