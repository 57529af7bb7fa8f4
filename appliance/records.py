"""Field records and findings: the plain data that scan, journal, verdict and report share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Outcome(str, Enum):
    """What became of a field. A failed field is never counted as negative."""

    USABLE = "usable"
    BLANK = "blank"
    FAILED = "failed"


@dataclass(frozen=True)
class FocusResult:
    """How a field was focused; it can say "I do not know".

    z_um: height of the kept frame as commanded. sigma_um: own estimate of its error (None: unknown).
    confidence: 0 (none) to 1. reason: short word for logs and reports, e.g. "bracketed", "blank".
    exposures: frames taken for this field, the kept one included.
    """

    z_um: float
    sigma_um: float | None
    confidence: float
    reason: str
    exposures: int
    predicted_z_um: float | None = None


@dataclass(frozen=True)
class ImageQuality:
    """Measured on the kept frame.

    background_rgb: median of the bright background (0 to 255). saturated: share of pixels at 255.
    stain_od: 95th percentile of optical density over the background. covered: share of pixels with stain.
    obscured: share of pixels so dark that nothing can be read (ink, thick blood).
    sharpness: Tenengrad over its noise floor (dimensionless).
    """

    background_rgb: tuple[float, float, float]
    saturated: float
    stain_od: float
    covered: float
    obscured: float
    sharpness: float


@dataclass(frozen=True)
class Finding:
    """One detected object on the slide.

    x_um, y_um: centre in stage coordinates. z_um: height of the frame it was seen in.
    x_px .. height_px: box in the field's frame, for drawing.
    """

    field_index: int
    label: str
    probability: float
    x_um: float
    y_um: float
    z_um: float
    x_px: float
    y_px: float
    width_px: float
    height_px: float


@dataclass(frozen=True)
class SecondPlane:
    """A field's second exposure, at another height, for what stands above the specimen there.

    z_um: height of the frame. reason: why nothing was read in it, empty when it was. exposures: frames taken.
    seconds: wall time by part (move, settle, expose, score).
    """

    z_um: float
    reason: str
    exposures: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class FieldRecord:
    """One field of the plan, once it has been dealt with.

    x_um, y_um: centre in stage coordinates. reason: why blank or failed, empty when usable.
    counts: number of objects per label above the engine's threshold; one seen in both planes counts once.
    seconds: wall time by part (move, settle, focus, expose, score, host), the second plane left out.
    """

    index: int
    x_um: float
    y_um: float
    outcome: Outcome
    reason: str
    focus: FocusResult
    quality: ImageQuality | None
    counts: dict[str, int]
    seconds: dict[str, float]
    recorded_at: datetime
    second: SecondPlane | None = None


@dataclass(frozen=True)
class SlideRun:
    """One reading of one slide: who, what, how. Frozen when the scan starts.

    plan_sha256: hash of the plan, so that a resumed scan is the same scan.
    field_width_um, field_height_um, um_per_px: from camera and calibration.
    """

    run_id: str
    accession: str
    slide: str
    run: int
    assay: str
    magnification: int
    na: float
    um_per_px: float
    field_width_um: float
    field_height_um: float
    planned_fields: int
    plan_sha256: str
    engine: str
    backend: str
    onnx_sha256: str
    settings_sha256: str
    app_version: str
    operator: str
    started_at: datetime
    resumed: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU scored it; where the processor did, the site had to allow that."""
        return self.backend.startswith("tensorrt:")
