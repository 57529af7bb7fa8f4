"""A note on disk of the slide that is being read, so that the next start can say which one was interrupted.

The journal holds what was read of it; this only remembers that somebody waits for the rest.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from appliance.service.errors import ServiceError
from appliance.service.requests import SlideInHand
from engines import durable
from engines.errors import NotWritten


class Breadcrumb:
    """The note at `path`, whole or not there, also after a power cut."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, slide: SlideInHand) -> None:
        """This slide is being read from now on; on disk when it returns. Raises ServiceError."""
        try:
            durable.write_file(self._path, slide.model_dump_json().encode())
        except NotWritten as error:
            raise ServiceError(error.what, safe="The slide was not begun.", remedy=error.remedy) from error

    def read(self) -> SlideInHand | None:
        """The slide that was being read when an earlier process ended, None if it ended well.

        Raises ServiceError when the note cannot be read.
        """
        try:
            return SlideInHand.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ServiceError(
                f"A slide was interrupted, but the note of which one, {self._path}, cannot be read.",
                safe="What was read of it is in the journal.",
                remedy="Ask for the slide again to go on with it.",
            ) from error

    def clear(self) -> None:
        """No slide is being read any more; safe to call twice. Raises ServiceError."""
        try:
            durable.remove_file(self._path)
        except NotWritten as error:
            raise ServiceError(error.what, safe="The reading itself is over.", remedy=error.remedy) from error
