"""What to put on a slide: named, validated settings."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.twin.surface import SurfaceSettings

HPF_AREA_MM2 = 0.0314  # oil-immersion field, field number 20 at 100x


class Content(str, Enum):
    """Kinds of slide."""

    SEROUS = "serous"
    SPUTUM = "sputum"
    PICTURES = "pictures"
    EMPTY = "empty"
    INK = "ink"


class Stain(str, Enum):
    """Stain of a serous slide; sputum is always Ziehl-Neelsen."""

    PAP = "pap"
    LIU = "liu"


class Interval(BaseModel):
    """Bounds from which a slide draws its value, log-uniformly."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float = Field(ge=0.0)
    high: float = Field(ge=0.0)

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self


class SerousSettings(BaseModel):
    """An effusion on a cytospin. Densities are per field of 0.2 mm².

    Source: domain reference 6.1.
    malignant: share among nucleated cells. reactive: share of reactive mesothelial cells, drawn per slide.
    clustered, benign_clustered: share of the malignant, of the mesothelial cells that lie in clusters; with these two,
    how far cells lie from the focal plane does not tell benign from malignant (engines.training.controls).
    blank_share: share of fields within the specimen that hold no cells. stain None: drawn by the seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    malignant: float = Field(default=0.0, ge=0.0, le=0.5)
    reactive: Interval = Interval(low=0.01, high=0.05)
    clustered: float = Field(default=0.35, ge=0.0, le=0.9)
    benign_clustered: float = Field(default=0.15, ge=0.0, le=0.9)
    nucleated_per_field: Interval = Interval(low=70.0, high=700.0)
    rbc_per_field: Interval = Interval(low=60.0, high=1500.0)
    blank_share: float = Field(default=0.04, ge=0.0, le=0.5)
    stain: Stain | None = None
    diameter_um: float = Field(default=6_000.0, ge=500.0, le=22_000.0)


class SputumSettings(BaseModel):
    """A Ziehl-Neelsen sputum smear.

    Give the density of bacilli per mm², or per oil-immersion field of 0.0314 mm², not both; neither means none.
    clumping: k of the negative binomial count per 0.05 mm². Source: domain reference 6.2.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    afb_per_mm2: float | None = Field(default=None, ge=0.0, le=20_000.0)
    afb_per_hpf: float | None = Field(default=None, ge=0.0, le=600.0)
    clumping: float = Field(default=0.4, ge=0.05, le=50.0)
    pmn_per_mm2: Interval = Interval(low=100.0, high=2_000.0)
    squamous_per_mm2: Interval = Interval(low=2.0, high=30.0)
    debris_per_mm2: Interval = Interval(low=200.0, high=1_300.0)
    confusers_per_mm2: Interval = Interval(low=10.0, high=150.0)
    blank_share: float = Field(default=0.03, ge=0.0, le=0.5)
    width_um: float = Field(default=20_000.0, ge=500.0, le=60_000.0)
    height_um: float = Field(default=10_000.0, ge=500.0, le=24_000.0)

    @model_validator(mode="after")
    def _one_density(self) -> SputumSettings:
        if self.afb_per_mm2 is not None and self.afb_per_hpf is not None:
            raise ValueError("give afb_per_mm2 or afb_per_hpf, not both")
        return self

    @property
    def density_per_mm2(self) -> float:
        """Bacilli per mm², averaged over the smear."""
        if self.afb_per_hpf is not None:
            return self.afb_per_hpf / HPF_AREA_MM2
        return self.afb_per_mm2 or 0.0


class PictureSettings(BaseModel):
    """Real pictures laid out as a mosaic. um_per_px: their scale. feather_um: width of the soft joins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path | None = None
    um_per_px: float | None = Field(default=None, gt=0.01, le=5.0)
    feather_um: float = Field(default=5.0, ge=0.0, le=100.0)


class BareSettings(BaseModel):
    """The box that passes for the specimen on an empty slide, or that is covered with ink."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width_um: float = Field(default=6_000.0, ge=100.0, le=60_000.0)
    height_um: float = Field(default=6_000.0, ge=100.0, le=24_000.0)


class ClutterSettings(BaseModel):
    """What lies on every slide besides the specimen; rates over the whole slide.

    back_dust: on the far side of the glass, seen as wide faint shadows. ink_marks: blots of a marker pen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dust_per_mm2: float = Field(default=0.3, ge=0.0, le=200.0)
    back_dust_per_mm2: float = Field(default=0.2, ge=0.0, le=50.0)
    bubbles_per_cm2: float = Field(default=0.3, ge=0.0, le=500.0)
    ink_marks_per_cm2: float = Field(default=0.1, ge=0.0, le=500.0)


class SlideSettings(BaseModel):
    """One slide: its content, how it is stained and how uneven it is.

    stain_od_sigma: log-normal spread of stain strength between slides. hue_jitter_deg: spread of stain hue,
    as an angle in unit optical-density space. Source: domain reference 6.1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    content: Content = Content.SEROUS
    serous: SerousSettings = SerousSettings()
    sputum: SputumSettings = SputumSettings()
    pictures: PictureSettings = PictureSettings()
    bare: BareSettings = BareSettings()
    clutter: ClutterSettings = ClutterSettings()
    surface: SurfaceSettings = SurfaceSettings()
    stain_od_sigma: float = Field(default=0.15, ge=0.0, le=1.0)
    hue_jitter_deg: float = Field(default=4.5, ge=0.0, le=20.0)
    centre_x_um: float = 38_000.0
    centre_y_um: float = 13_000.0

    @model_validator(mode="after")
    def _pictures_complete(self) -> SlideSettings:
        if self.content is Content.PICTURES and (self.pictures.folder is None or self.pictures.um_per_px is None):
            raise ValueError("content 'pictures' needs pictures.folder and pictures.um_per_px")
        return self
