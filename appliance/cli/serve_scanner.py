"""`cytoscan serve scanner`, and `serve ended`: the scanner as a service of systemd."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import numpy as np
import typer

from appliance.assays import Assay, load_assay
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.reading import Order, read_slide
from appliance.cli.scoring import assays_read, count_restart, scorer
from appliance.cli.signals import stop_on_signal
from appliance.journal import utc_now
from appliance.scan.events import ScanListener
from appliance.service.breadcrumb import Breadcrumb
from appliance.service.clients import Clients
from appliance.service.errors import ServiceError
from appliance.service.notify import Notifier
from appliance.service.reading import Read
from appliance.service.requests import LONGEST_LINE, ScanRequest, VerdictReached
from appliance.service.scanner import ScannerService
from appliance.settings import Settings, load_settings
from engines.tensorrt.signature import FrameSize

SOCKET = Path("/run/cytoscan/scanner.sock")
BREADCRUMB = "slide-in-hand.json"
_WATCHDOG = "watchdog"
_AT_ANY_TIME = {"timeout", "signal", "core-dump", "oom-kill"}
"""What systemd calls a start or a stop that hangs, and crashes. An error that the scanner has told is none of them."""
LOAD_S = 120.0
"""A network that is not loaded after this is given up by systemd."""
_REFERENCE = FrameSize(height_px=1208, width_px=1928)
"""Of the reference camera; what is scored here only shows that the network runs."""


def scanner(
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    socket: Annotated[Path, typer.Option(help="Where slides are asked for (Unix socket).")] = SOCKET,
) -> None:
    """Read slides that are asked for over a socket, one at a time. Ends by SIGTERM, after the field in hand."""
    notifier = Notifier.from_environment(os.environ, os.getpid())
    settings = load_settings(settings_file, overrides or [])
    note = plain_console().print
    settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
    with stop_on_signal() as end, closing(notifier):
        self_test(settings, _loading(notifier))
        with closing(Clients(socket, LONGEST_LINE)) as clients:
            breadcrumb = Breadcrumb(settings.journal.path.with_name(BREADCRUMB))
            service = ScannerService(clients, breadcrumb, reader(settings), notifier, note=note, now=utc_now)
            note(f"Slides are asked for at {socket}.")
            service.serve(end)


def ended(settings_file: SettingsFile = None, overrides: Overrides = None) -> None:
    """What systemd runs after the scanner has ended: a hang or a crash is held against engines that are on trial."""
    result = os.environ.get("SERVICE_RESULT")
    if result not in {_WATCHDOG, *_AT_ANY_TIME}:
        return
    settings = load_settings(settings_file, overrides or [])
    # The watchdog watches readings. What ended otherwise may have been a start, which loads the network of each assay.
    assay = _assay_in_hand(settings) if result == _WATCHDOG else None
    for name in count_restart(settings, assay):
        plain_console().print(f"That the scanner ended by {result} counts against {name}, if it is on trial.")


def _assay_in_hand(settings: Settings) -> Assay | None:
    """What the slide in hand is read for; None where there is none, or the note of it cannot be read."""
    try:
        slide = Breadcrumb(settings.journal.path.with_name(BREADCRUMB)).read()
    except ServiceError as error:
        plain_console().print(error.what)
        return None
    return None if slide is None else load_assay(slide.assay)


def self_test(settings: Settings, begin: Callable[[str], None]) -> None:
    """Load the network of each assay that is read at the magnification in force, and have it score an empty field.

    begin: called before each, with what is done. Raises SettingsError, EngineError.
    """
    for assay in assays_read(settings):
        begin(f"loading and trying the network for {assay.name}")
        with scorer(settings, assay) as opened:
            frame = opened.frame or _REFERENCE
            empty = np.full((frame.height_px, frame.width_px, 3), 240, dtype=np.uint8)
            opened.scorer.score(empty, settings.optics.um_per_px)


def reader(settings: Settings) -> Read:
    """How the service reads a slide: `read_slide` with these settings, each report in a folder of its slide's names."""

    def read(request: ScanRequest, assay: Assay, listener: ScanListener, stop: threading.Event) -> VerdictReached:
        names = (quote(name, safe=" ") for name in (request.accession, request.slide))
        report = settings.report.directory.joinpath(*names, "report.html")
        order = Order(request.accession, request.slide, request.operator, request.volume_ml, request.restart)
        reading = read_slide(settings, assay, order, report, listener, stop)
        run, verdict = reading.run, reading.verdict
        return VerdictReached(
            run_id=run.run_id,
            accession=run.accession,
            slide=run.slide,
            run=run.run,
            category=verdict.category,
            title=verdict.title,
            reasons=verdict.reasons,
            planned=verdict.fields.planned,
            usable=verdict.fields.usable,
            blank=verdict.fields.blank,
            failed=verdict.fields.failed,
            resumed=reading.resumed,
            engine=run.engine,
            backend=run.backend,
            report=str(reading.report),
        )

    return read


def _loading(notifier: Notifier) -> Callable[[str], None]:
    def begin(what: str) -> None:
        notifier.extend(LOAD_S)
        notifier.status(what)

    return begin
