"""The twin's truth file: what each exposure really showed. Read by tests and benches only."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drivers.twin.field_builder import BuiltField
from drivers.twin.focus_truth import shows_nothing
from drivers.twin.settings import CameraModel, TwinSettings
from drivers.twin.slide import SceneObject, Slide


@dataclass(frozen=True)
class Exposed:
    """Where the stage truly stood in the middle of an exposure, monotonic time and stage coordinates in µm."""

    frame_id: int
    t_monotonic_ns: int
    x_um: float
    y_um: float
    z_um: float


class TruthFile:
    """Writes JSON lines: first a header with the settings, then a line per exposure. Thread-safe."""

    def __init__(self, path: Path, settings: TwinSettings, slide: Slide) -> None:
        """Start the file anew. Raises OSError when it cannot be written."""
        self._settings = settings
        self._lock = threading.Lock()
        self._file = path.open("w", encoding="utf-8")
        area = slide.specimen
        self._write(
            {
                "header": True,
                "seed": settings.seed,
                "content": slide.content,
                "slide": settings.slide.model_dump(mode="json"),
                "specimen": [area.x_um, area.y_um, area.width_um, area.height_um],
                "illumination": list(slide.illumination),
                "magnification": settings.optics.magnification,
                "na": settings.optics.aperture,
                "um_per_px": settings.optics.scale_um,
                "reference_z_um": settings.reference_z_um,
            }
        )

    def exposure(self, exposed: Exposed, field: BuiltField) -> None:
        """One line for one exposure."""
        inside = objects_inside(field, self._settings.camera, exposed.x_um, exposed.y_um)
        best_um = best_focus_um(field, self._settings)
        self._write(
            {
                "frame_id": exposed.frame_id,
                "t_monotonic_ns": exposed.t_monotonic_ns,
                "x_um": round(exposed.x_um, 3),
                "y_um": round(exposed.y_um, 3),
                "z_um": round(exposed.z_um, 4),
                "best_focus_z_um": round(best_um, 4),
                "blank": is_blank(field, self._settings.camera),
                "n_objects": len(inside),
                "n_malignant": sum(item.malignant and item.kind != "cluster" for item in inside),
                "kinds": dict(sorted(Counter(item.kind for item in inside).items())),
            }
        )

    def _write(self, record: dict[str, object]) -> None:
        with self._lock:
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()


def best_focus_um(field: BuiltField, settings: TwinSettings) -> float:
    """Height of the focal plane at which the field's specimen is sharpest, in true stage coordinates."""
    return settings.reference_z_um + field.surface_um + field.truth.defocus_um


def is_blank(field: BuiltField, camera: CameraModel) -> bool:
    """Whether a field shows no specimen, whatever dust, bubbles and ink it shows; see BLANK_BELOW."""
    return shows_nothing(field.truth, camera)


def objects_inside(field: BuiltField, camera: CameraModel, x_um: float, y_um: float) -> Sequence[SceneObject]:
    """The objects centred within a frame at a stage position, clusters besides their members."""
    scale = field.prepared.um_per_px
    half_x, half_y = camera.width_px / 2 * scale, camera.height_px / 2 * scale
    return [
        item for item in field.prepared.objects if abs(item.x_um - x_um) <= half_x and abs(item.y_um - y_um) <= half_y
    ]
