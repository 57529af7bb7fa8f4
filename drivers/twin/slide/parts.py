"""The one thing a slide is made of: parts that draw themselves into a view."""

from __future__ import annotations

from typing import Protocol

from drivers.twin.slide.scene import SceneObject
from drivers.twin.slide.view import LayerStack, View


class Part(Protocol):
    """Something on the slide."""

    def draw(self, view: View, stack: LayerStack) -> list[SceneObject]:
        """Stamp what lies in the view; returns its truth."""
