"""What can go wrong in the application itself, said for the person who meets it."""

from __future__ import annotations

from functools import partial
from typing import Any


class ApplianceError(Exception):
    """Something cannot be done. `what` happened, what is `safe` now, and the `remedy`."""

    def __init__(self, what: str, *, remedy: str, safe: str = "Nothing was changed.") -> None:
        super().__init__(f"{what} {safe} {remedy}")
        self.what = what
        self.safe = safe
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        """Whole again in another process: a bench's worker sends its error to who waits for it."""
        return partial(type(self), remedy=self.remedy, safe=self.safe), (self.what,), self.__dict__


class SettingsError(ApplianceError):
    """A settings or assay file cannot be used; `what` names file, line and key.

    problems: one plain sentence per mistake, each beginning with its place ("site.yaml, line 12: ...").
    """

    def __init__(
        self,
        what: str,
        *,
        remedy: str = "Correct the file and start again.",
        safe: str = "Nothing was started.",
        problems: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what, remedy=remedy, safe=safe)
        self.problems = problems or (what,)


class PlanError(ApplianceError):
    """The area to read does not fit the stage's limits or the slide."""


class JournalError(ApplianceError):
    """The journal cannot be read or written (disk full, damaged, locked)."""


class Stopped(ApplianceError):
    """The scan was stopped on request; what was recorded stays."""
