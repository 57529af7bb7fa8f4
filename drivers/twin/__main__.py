"""The digital twin of a scanner, as a process of its own.

Prints one JSON line when it is ready: the stage's port, the camera's address, and what a laboratory knows of its device
and of the slide's layout. Ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import cv2

from drivers.errors import DeviceError
from drivers.twin.camera_server import CameraServer, Scenery
from drivers.twin.field_builder import FieldBuilder
from drivers.twin.lookahead import Lookahead
from drivers.twin.optics import Optics
from drivers.twin.sensor import Sensor
from drivers.twin.settings import TwinSettings, load_settings
from drivers.twin.slide import Slide, make_slide
from drivers.twin.stage_twin import StageTwin
from drivers.twin.truth import TruthFile

_SWITCH_S = 0.001


def _ready(settings: TwinSettings, slide: Slide, port: str, camera: Path) -> str:
    """The line that says where everything is; nothing in it is truth."""
    area = slide.specimen
    return json.dumps(
        {
            "ready": True,
            "port": port,
            "camera": str(camera),
            "calibration": {
                "um_per_px": settings.optics.scale_um,
                "na": settings.optics.aperture,
                "magnification": settings.optics.magnification,
            },
            "specimen": {
                "x_um": area.x_um,
                "y_um": area.y_um,
                "width_um": area.width_um,
                "height_um": area.height_um,
            },
            "reference_z_um": settings.reference_z_um,
        }
    )


def serve(settings: TwinSettings, args: argparse.Namespace, ended: threading.Event) -> None:
    """Run the twin until `ended` is set."""
    run_dir: Path = args.run_dir
    truth: Path | None = args.truth
    slide = make_slide(settings.slide, settings.seed)
    with ExitStack() as stack:
        builder = stack.enter_context(closing(FieldBuilder(settings)))
        if args.until_stdin_closes:
            threading.Thread(target=_watch_stdin, args=(ended,), name="twin-stdin", daemon=True).start()
        stage = stack.enter_context(
            StageTwin(run_dir, settings.mechanics, controller=settings.controller, line=settings.line)
        )
        record = stack.enter_context(closing(TruthFile(truth, settings, slide))) if truth else None
        optics = Optics.of(settings.optics)
        for colour in range(3):
            optics.otf(colour)
        sensor = Sensor(settings.camera, settings.seed, slide.illumination)
        scenery = Scenery(stage.mechanics, builder, sensor, record)
        stack.enter_context(closing(Lookahead(stage.mechanics, builder, slide.specimen, settings.builder.ahead)))
        address = run_dir / "camera.sock"
        stack.enter_context(closing(CameraServer(address, settings, scenery)))
        sys.stdout.write(_ready(settings, slide, stage.path, address) + "\n")
        sys.stdout.flush()
        ended.wait()


def _watch_stdin(ended: threading.Event) -> None:
    """End when whoever started us is gone."""
    # Not through sys.stdin: its lock would be held by this thread when the interpreter ends.
    while os.read(0, 4096):
        pass
    ended.set()


def main() -> int:
    """Read the command line and serve; 0 after a signal, 2 when the settings cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m drivers.twin", description=__doc__)
    parser.add_argument("--settings", type=Path, help="YAML file of drivers.twin.settings.TwinSettings")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help="one setting, may be repeated")
    parser.add_argument("--harsh", action="store_true", help="double the errors of stage and slide surface")
    parser.add_argument("--run-dir", type=Path, required=True, help="'stage' and 'camera.sock' appear here")
    parser.add_argument("--truth", type=Path, help="write what was really there, for tests and benches")
    parser.add_argument("--until-stdin-closes", action="store_true", help="also end when standard input ends")
    args = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    sys.setswitchinterval(_SWITCH_S)
    cv2.setNumThreads(1)
    try:
        args.run_dir.mkdir(parents=True, exist_ok=True)
        serve(load_settings(args.settings, args.set, harsh=args.harsh), args, ended)
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"The twin cannot use {error.filename or args.run_dir}: {error.strerror}.\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
