"""Sprites of one slide: painted when first asked for, then kept."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from drivers.twin.slide.paint import Sprite

Painter = Callable[[str, float, np.random.Generator], Sprite]


class Library:
    """Variants of each kind at one scale; variant i of a kind is the same whenever it is painted.

    painter: (kind, um_per_px, rng) -> Sprite. Safe to use from several threads.
    """

    def __init__(self, seed: int, um_per_px: float, painter: Painter) -> None:
        self._seed = seed
        self._um_per_px = um_per_px
        self._painter = painter
        self._sprites: dict[tuple[str, int], Sprite] = {}
        self._lock = threading.Lock()

    def get(self, kind: str, variant: int) -> Sprite:
        """The sprite of a kind and variant."""
        key = (kind, variant)
        found = self._sprites.get(key)
        if found is None:
            with self._lock:
                found = self._sprites.get(key)
                if found is None:
                    words = [self._seed, variant, *kind.encode()]
                    rng = np.random.default_rng(np.random.SeedSequence(words))
                    found = self._sprites[key] = self._painter(kind, self._um_per_px, rng)
        return found


class Libraries:
    """One library per scale that was asked for; the few most recent are kept."""

    _KEPT = 3

    def __init__(self, seed: int, painter: Painter) -> None:
        self._seed = seed
        self._painter = painter
        self._by_scale: dict[float, Library] = {}
        self._lock = threading.Lock()

    def at(self, um_per_px: float) -> Library:
        """The library for a scale."""
        scale = round(um_per_px, 6)
        with self._lock:
            library = self._by_scale.pop(scale, None) or Library(self._seed, um_per_px, self._painter)
            self._by_scale[scale] = library
            while len(self._by_scale) > self._KEPT:
                self._by_scale.pop(next(iter(self._by_scale)))
        return library
