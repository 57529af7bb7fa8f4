"""The content of a slide: `make_slide(settings, seed)` gives a Slide, which gives Scenes."""

from drivers.twin.slide.kinds import AFB, CLUSTER, CLUTTER, NUCLEATED
from drivers.twin.slide.make import make_slide
from drivers.twin.slide.pictures import NoPictures
from drivers.twin.slide.scene import Layer, Scene, SceneObject, Shown, Slide, SpecimenArea
from drivers.twin.slide.settings import (
    ClutterSettings,
    Content,
    Interval,
    PictureSettings,
    SerousSettings,
    SlideSettings,
    SputumSettings,
    Stain,
)

__all__ = [
    "AFB",
    "CLUSTER",
    "CLUTTER",
    "NUCLEATED",
    "ClutterSettings",
    "Content",
    "Interval",
    "Layer",
    "NoPictures",
    "PictureSettings",
    "Scene",
    "SceneObject",
    "SerousSettings",
    "Shown",
    "Slide",
    "SlideSettings",
    "SpecimenArea",
    "SputumSettings",
    "Stain",
    "make_slide",
]
