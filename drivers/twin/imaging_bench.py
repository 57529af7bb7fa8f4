"""How long the twin's pictures take: `python -m drivers.twin.imaging_bench`. One core, times of this process's CPU."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from drivers.twin.field_builder import build_field
from drivers.twin.focus_truth import specimen_truth
from drivers.twin.imaging import Pose, Window, absorbed, prepare
from drivers.twin.optics import Optics
from drivers.twin.sensor import Sensor
from drivers.twin.settings import TwinSettings, load_settings
from drivers.twin.slide import make_slide

_FIELDS = 5
_EXPOSURES_UM = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)


@dataclass
class _Times:
    """Values by name; milliseconds of CPU where `of` measured them."""

    values: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.note(name, 1e3 * (time.process_time() - start))

    def note(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)


def measure(settings: TwinSettings, fields: int) -> dict[str, list[float]]:
    """What each step takes over `fields` fields across the specimen, in milliseconds, and the size of their spectra."""
    slide = make_slide(settings.slide, settings.seed)
    optics, camera = Optics.of(settings.optics), settings.camera
    sensor = Sensor(camera, settings.seed, slide.illumination)
    rng = np.random.default_rng(0)
    area = slide.specimen
    size, pitch_um = (camera.width_px, camera.height_px), optics.depth_of_field_um / 3
    # Tables, random numbers and memory are set up once in the life of a twin: not timed.
    store = np.zeros(settings.builder.memory_mb * (1 << 20) // 32, np.complex64)
    first = build_field(slide, settings, (area.x_um, area.y_um), store)
    sensor.read(absorbed(first.prepared, Pose.still(area.x_um, area.y_um, 0.0), *size), 1.0, 0.0, 1.0, rng)
    times = _Times()
    for index in range(fields):
        x = area.x_um + area.width_um * (0.3 + 0.4 * index / fields)
        y = area.y_um + area.height_um * 0.45
        window = Window.around(x, y, size, optics.um_per_px)
        corner = (window.x0_um, window.y0_um, window.width_px, window.height_px, optics.um_per_px)
        with times.of("scene"):
            scene = slide.scene(*corner, layer_pitch_um=pitch_um)
        with times.of("prepare"):
            prepared = prepare(scene, optics, store)
        with times.of("truth"):
            specimen_truth(slide, prepared, *size, pitch_um)
        times.note("levels", len(prepared.blocks[0].heights_um))
        times.note("MB", prepared.store.nbytes / 1e6)
        for defocus_um in _EXPOSURES_UM:
            with times.of("expose"):
                planes = absorbed(prepared, Pose.still(x + 0.4, y - 0.7, defocus_um), *size)
                sensor.read(planes, camera.nominal_exposure_ms, 0.0, 1.0, rng)
    return times.values


def main() -> int:
    """Print the median and the largest of each step."""
    parser = argparse.ArgumentParser(prog="python -m drivers.twin.imaging_bench", description=__doc__)
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE")
    parser.add_argument("--fields", type=int, default=_FIELDS)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    times = measure(load_settings(args.settings, args.set), args.fields)
    for name, values in times.items():
        unit = "" if name in {"levels", "MB"} else " ms"
        sys.stdout.write(f"{name:8} median {statistics.median(values):7.1f}{unit}  largest {max(values):7.1f}{unit}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
