"""The twin as this command starts it, and the settings with which the appliance finds it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appliance.settings import RegionSection, Settings
from drivers.twin.launch import TwinProcess
from drivers.twin.settings import TwinSettings, load_settings

CONTENT = {"serous": "serous", "afb": "sputum"}


@dataclass(frozen=True)
class TwinSlide:
    """What lies on the twin's stage. None leaves the twin's own default.

    content: None follows the assay; "empty" and "ink" are slides that cannot be read. malignant: share among nucleated
    cells. afb_per_hpf: bacilli per high-power field. pictures: folder of real pictures, um_per_px their scale.
    more: further twin settings as `a.b=value`.
    """

    assay: str
    magnification: int
    seed: int
    content: str | None = None
    malignant: float | None = None
    afb_per_hpf: float | None = None
    pictures: Path | None = None
    um_per_px: float | None = None
    na: float | None = None
    harsh: bool = False
    more: tuple[str, ...] = field(default=())

    def settings(self) -> TwinSettings:
        """The twin's settings. Raises BadTwinSettings."""
        content = self.content or ("pictures" if self.pictures else CONTENT.get(self.assay, self.assay))
        wanted: dict[str, object] = {
            "seed": self.seed,
            "optics.magnification": self.magnification,
            "optics.na": self.na,
            "slide.content": content,
            "slide.serous.malignant": self.malignant,
            "slide.sputum.afb_per_hpf": self.afb_per_hpf,
            "slide.pictures.folder": self.pictures.resolve() if self.pictures else None,
            "slide.pictures.um_per_px": self.um_per_px,
        }
        given = [f"{key}={value}" for key, value in wanted.items() if value is not None]
        return load_settings(None, [*given, *self.more], harsh=self.harsh)


@contextmanager
def twin_session(slide: TwinSlide, settings: Settings, truth: Path | None = None) -> Iterator[Settings]:
    """Start the twin with this slide; yields the settings completed by its port, camera, calibration and slide layout.

    A camera that the settings name is left as it is: pictures can be replayed over the twin's stage.

    truth: file for the twin's truth, for benches. Raises DeviceError when the twin does not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twin-")))
        twin = stack.enter_context(TwinProcess(slide.settings(), folder, truth=truth))
        yield _completed(settings, slide, twin)


def _completed(settings: Settings, slide: TwinSlide, twin: TwinProcess) -> Settings:
    camera = settings.camera
    if camera.kind == "twin" and not camera.address:
        camera = camera.model_copy(update={"address": str(twin.camera)})
    optics = {
        "magnification": twin.calibration.magnification,
        "na": twin.calibration.na,
        "um_per_px": twin.calibration.um_per_px,
    }
    return settings.model_copy(
        update={
            "stage": settings.stage.model_copy(update={"port": str(twin.port)}),
            "camera": camera,
            "optics": settings.optics.model_copy(update=optics),
            "focus": settings.focus.model_copy(update={"reference_z_um": twin.reference_z_um}),
            "scan": settings.scan.model_copy(update={"region": settings.scan.region or _region(slide, twin)}),
        }
    )


def _region(slide: TwinSlide, twin: TwinProcess) -> RegionSection:
    """Where the laboratory's slides of this kind carry their specimen: a cytospin is round, a smear is not."""
    area = twin.specimen
    return RegionSection(
        x_um=area.x_um + area.width_um / 2,
        y_um=area.y_um + area.height_um / 2,
        width_um=area.width_um,
        height_um=area.height_um,
        shape="ellipse" if slide.assay == "serous" and slide.pictures is None else "rectangle",
    )
