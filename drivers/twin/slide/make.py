"""Putting a slide together from its settings and a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.twin.slide.clutter import ClutterPart
from drivers.twin.slide.ink import InkPart
from drivers.twin.slide.parts import Part
from drivers.twin.slide.pictures import NoPictures, PicturesPart
from drivers.twin.slide.scene import Scene, SceneObject, Shown, Slide, SpecimenArea
from drivers.twin.slide.serous import SerousLook, SerousPart
from drivers.twin.slide.serous_sprites import draw_preparation
from drivers.twin.slide.settings import Content, SlideSettings, Stain
from drivers.twin.slide.sputum import SputumPart
from drivers.twin.slide.stains import draw_illumination, draw_palette
from drivers.twin.slide.view import LayerStack, View
from drivers.twin.surface import Surface

_SMEAR_RMS_UM = 0.7  # smear topography; a cytospin is flatter


class TwinSlide:
    """A slide on one surface: the parts of its specimen, and the dirt on the glass."""

    def __init__(
        self,
        content: Content,
        specimen: SpecimenArea,
        illumination: tuple[float, float, float],
        surface: Surface,
        parts: Sequence[Part],
        dirt: Sequence[Part],
    ) -> None:
        self._content = content
        self._specimen = specimen
        self._illumination = illumination
        self._surface = surface
        self._parts = {Shown.ALL: (*parts, *dirt), Shown.SPECIMEN: tuple(parts), Shown.DIRT: tuple(dirt)}

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
        shown: Shown = Shown.ALL,
    ) -> Scene:
        """The content of a rectangle; see `Slide.scene`."""
        view = View.of((x0_um, y0_um), (width_px, height_px), um_per_px, self._surface)
        stack = LayerStack(height_px, width_px, layer_pitch_um)
        objects: list[SceneObject] = []
        for part in self._parts[shown]:
            objects += part.draw(view, stack)
        return Scene(um_per_px, x0_um, y0_um, width_px, height_px, stack.layers(), objects)


def make_slide(settings: SlideSettings, seed: int) -> Slide:
    """The slide that settings and a seed describe; the same every time.

    Raises NoPictures for content "pictures" when the folder holds none.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xC0]))
    if settings.content is Content.SEROUS:
        return _serous(settings, seed, rng)
    if settings.content is Content.SPUTUM:
        return _sputum(settings, seed, rng)
    if settings.content is Content.PICTURES:
        return _pictures(settings, seed)
    return _bare(settings, seed, rng)


def _serous(settings: SlideSettings, seed: int, rng: np.random.Generator) -> TwinSlide:
    stain = settings.serous.stain or (Stain.PAP if rng.random() < 0.5 else Stain.LIU)
    palette = draw_palette(stain, settings.stain_od_sigma, settings.hue_jitter_deg, rng)
    look = SerousLook(palette, draw_preparation(stain, rng))
    part = SerousPart(settings.serous, _centre(settings), seed, look)
    surface, light = Surface(settings.surface, seed), draw_illumination(stain, rng)
    return TwinSlide(settings.content, part.area, light, surface, [part], [ClutterPart(settings.clutter, seed)])


def _sputum(settings: SlideSettings, seed: int, rng: np.random.Generator) -> TwinSlide:
    palette = draw_palette(None, settings.stain_od_sigma, settings.hue_jitter_deg, rng)
    part = SputumPart(settings.sputum, _centre(settings), seed, palette)
    surface = Surface(settings.surface, seed, topography_rms_um=_SMEAR_RMS_UM)
    light = draw_illumination(None, rng)
    return TwinSlide(settings.content, part.area, light, surface, [part], [ClutterPart(settings.clutter, seed)])


def _pictures(settings: SlideSettings, seed: int) -> TwinSlide:
    chosen = settings.pictures
    if chosen.folder is None or chosen.um_per_px is None:
        raise NoPictures("No folder of pictures is named.", remedy="Set pictures.folder and pictures.um_per_px.")
    part = PicturesPart(chosen.folder, chosen.um_per_px, chosen.feather_um, _centre(settings), seed)
    surface = Surface(settings.surface, seed, topography_rms_um=_SMEAR_RMS_UM)
    return TwinSlide(settings.content, part.area, part.tint, surface, [part], [ClutterPart(settings.clutter, seed)])


def _bare(settings: SlideSettings, seed: int, rng: np.random.Generator) -> TwinSlide:
    """An empty slide, or one covered with ink where the specimen should be."""
    x, y = _centre(settings)
    width, height = settings.bare.width_um, settings.bare.height_um
    area = SpecimenArea(x - width / 2.0, y - height / 2.0, width, height)
    dirt: list[Part] = [ClutterPart(settings.clutter, seed)]
    if settings.content is Content.INK:
        dirt.insert(0, InkPart(area, seed))
    light = draw_illumination(Stain.LIU, rng)
    return TwinSlide(settings.content, area, light, Surface(settings.surface, seed), [], dirt)


def _centre(settings: SlideSettings) -> tuple[float, float]:
    return settings.centre_x_um, settings.centre_y_um
