"""Put a report on disk, whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from appliance.report.data import ReportData, ReportError
from appliance.report.render import render_report


def write_report(data: ReportData, path: Path) -> Path:
    """Render and write the report; returns its path.

    A reader sees the old file or the new one, never a part: the page goes to a neighbour file first, is forced to the
    disk, and then takes the name. Raises ReportError when the disk refuses; an earlier report is then still there.
    """
    page = render_report(data).encode("utf-8")
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as stream:
            stream.write(page)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ReportError(
            f"The report could not be written to {path}: {error.strerror or error}.",
            safe="Verdict and findings are in the journal; an earlier report was not touched.",
            remedy="Free space on the disk or choose a folder that can be written, then make the report again.",
        ) from error
    return path


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
