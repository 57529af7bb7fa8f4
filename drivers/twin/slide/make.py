"""Putting a slide together from its settings and a seed."""

from __future__ import annotations

import numpy as np

from drivers.twin.slide.parts import Part
from drivers.twin.slide.scene import Scene, SceneObject, Slide, SpecimenArea
from drivers.twin.slide.serous import SerousPart
from drivers.twin.slide.settings import Content, SlideSettings, Stain
from drivers.twin.slide.sputum import SputumPart
from drivers.twin.slide.stains import draw_illumination, draw_palette
from drivers.twin.slide.view import LayerStack, View
from drivers.twin.surface import Surface


class TwinSlide:
    """A slide of parts on one surface."""

    def __init__(
        self,
        content: Content,
        specimen: SpecimenArea,
        illumination: tuple[float, float, float],
        surface: Surface,
        parts: list[Part],
    ) -> None:
        self._content = content
        self._specimen = specimen
        self._illumination = illumination
        self._surface = surface
        self._parts = parts

    @property
    def content(self) -> str:
        """serous, sputum, pictures, empty or ink."""
        return self._content.value

    @property
    def illumination(self) -> tuple[float, float, float]:
        """Brightness of a clear place in R, G, B, relative to the brightest channel."""
        return self._illumination

    @property
    def specimen(self) -> SpecimenArea:
        """Where the specimen lies."""
        return self._specimen

    def surface_um(self, x_um: float, y_um: float) -> float:
        """Height of the specimen over the reference plane."""
        return float(self._surface.height_um(x_um, y_um))

    def scene(
        self,
        x0_um: float,
        y0_um: float,
        width_px: int,
        height_px: int,
        um_per_px: float,
        *,
        layer_pitch_um: float = 1.0,
    ) -> Scene:
        """The content of a rectangle; see `Slide.scene`."""
        view = View.of((x0_um, y0_um), (width_px, height_px), um_per_px, self._surface)
        stack = LayerStack(height_px, width_px, layer_pitch_um)
        objects: list[SceneObject] = []
        for part in self._parts:
            objects += part.draw(view, stack)
        return Scene(um_per_px, x0_um, y0_um, width_px, height_px, stack.layers(), objects)


def make_slide(settings: SlideSettings, seed: int) -> Slide:
    """The slide that settings and a seed describe; the same every time."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xC0]))
    if settings.content is Content.SPUTUM:
        return _sputum(settings, seed, rng)
    return _serous(settings, seed, rng)


def _serous(settings: SlideSettings, seed: int, rng: np.random.Generator) -> TwinSlide:
    stain = settings.serous.stain or (Stain.PAP if rng.random() < 0.5 else Stain.LIU)
    palette = draw_palette(stain, settings.stain_od_sigma, settings.hue_jitter_deg, rng)
    part = SerousPart(settings.serous, _centre(settings), seed, palette)
    surface = Surface(settings.surface, seed)
    return TwinSlide(settings.content, part.area, draw_illumination(stain, rng), surface, [part])


def _sputum(settings: SlideSettings, seed: int, rng: np.random.Generator) -> TwinSlide:
    palette = draw_palette(None, settings.stain_od_sigma, settings.hue_jitter_deg, rng)
    part = SputumPart(settings.sputum, _centre(settings), seed, palette)
    surface = Surface(settings.surface, seed, topography_rms_um=0.7)
    return TwinSlide(settings.content, part.area, draw_illumination(None, rng), surface, [part])


def _centre(settings: SlideSettings) -> tuple[float, float]:
    return settings.centre_x_um, settings.centre_y_um
