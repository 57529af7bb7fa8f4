"""When an engine newly in use is good, and when it has failed.

Each slide counts as started before its first field, and as finished when it comes to its end in good order: a verdict
stands, be it unsatisfactory, or the operator ended it. Between slides, those started and not finished have failed:
the scanner died or gave up in the middle. The engine is good after so many slides finished. It has failed with more
slides failed, or more restarts after hangs or crashes, than are allowed until then.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.slots.record import Record


@dataclass(frozen=True)
class Trial:
    """good_after: slides finished. failed_allowed: slides, e.g. for a power cut. restarts_allowed: of the scanner."""

    good_after: int
    failed_allowed: int
    restarts_allowed: int = 0

    def passed(self, record: Record) -> bool:
        """Whether enough slides came to their end."""
        return record.slides_finished >= self.good_after

    def failure(self, record: Record) -> str:
        """Why the engine has failed, as seen between two slides; empty where it has not."""
        if record.restarts > self.restarts_allowed:
            return (
                f"Restarts of the scanner after a hang or crash before the engine was good: {record.restarts}; "
                f"allowed: {self.restarts_allowed}."
            )
        failed = record.slides_started - record.slides_finished
        if failed > self.failed_allowed:
            return f"Slides that did not come to their end with it: {failed}; allowed: {self.failed_allowed}."
        return ""
