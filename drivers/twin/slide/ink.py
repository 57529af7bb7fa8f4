"""A slide on which the specimen's place is covered with ink: nothing can be read there."""

from __future__ import annotations

import numpy as np

from drivers.twin.slide.hashing import lattice_field
from drivers.twin.slide.scene import SceneObject, SpecimenArea
from drivers.twin.slide.view import LayerStack, View

_STREAM = 41
_INK = np.array([0.90, 0.72, 0.40], np.float32)


class InkPart:
    """Overlapping blots over a box, with thin cracks and gaps between them."""

    def __init__(self, area: SpecimenArea, seed: int) -> None:
        self._area = area
        self._seed = seed

    def draw(self, view: View, stack: LayerStack) -> list[SceneObject]:
        """Lay the ink that lies in the view; there are no objects."""
        x, y = view.x_um, view.y_um
        blots = lattice_field(self._seed, _STREAM, (320.0, 320.0), x, y)
        blots += 0.25 * lattice_field(self._seed, _STREAM + 1, (40.0, 40.0), x, y)
        blots += 0.06 * lattice_field(self._seed, _STREAM + 2, (7.0, 7.0), x, y)
        level = np.clip((blots + 1.45) / 0.05, 0.0, 1.0) * (1.9 + 0.35 * np.clip(blots, -1.0, 2.0))
        level *= 1.0 + 0.1 * lattice_field(self._seed, _STREAM + 3, (120.0, 6.0), x, y)
        area = self._area
        across = np.clip(np.minimum(x - area.x_um, area.x_um + area.width_um - x) / 20.0, 0.0, 1.0)
        down = np.clip(np.minimum(y - area.y_um, area.y_um + area.height_um - y) / 20.0, 0.0, 1.0)
        level *= np.outer(down, across).astype(np.float32)
        if float(level.max()) > 0.0:
            stack.film(level[:, :, None] * _INK)
        return []
