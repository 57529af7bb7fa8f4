"""The one question an evaluation asks a network: where is a target, and how sure is it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.package import Manifest

Maps = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""uint8 RGB picture (H, W, 3) at the network's scale → probabilities (labels, h, w)."""


@dataclass(frozen=True)
class Target:
    """A network as an evaluation sees it: several target labels count as one.

    separation_um: two peaks nearer than this are one object. threshold: probability of a finding.
    """

    maps: Maps
    channels: tuple[int, ...]
    names: tuple[str, ...]
    others: tuple[str, ...]
    native_um_per_px: float
    stride: int
    separation_um: float
    threshold: float

    @classmethod
    def of(cls, manifest: Manifest, maps: Maps) -> Target:
        """The targets of a package whose network answers with `maps`."""
        wanted = [index for index, label in enumerate(manifest.labels) if label.target]
        return cls(
            maps,
            tuple(wanted),
            tuple(manifest.labels[index].name for index in wanted),
            tuple(label.name for label in manifest.labels if not label.target),
            manifest.scale.native_um_per_px,
            manifest.output.stride,
            min(manifest.labels[index].separation_um for index in wanted),
            manifest.operating_point.threshold,
        )

    def heat(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probability of any target, (ceil(H / stride), ceil(W / stride)), of a picture at the network's scale."""
        return np.ascontiguousarray(self.maps(picture)[list(self.channels)].max(axis=0))
