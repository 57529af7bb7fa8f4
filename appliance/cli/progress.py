"""The progress bar of a scan: fields, fields/s, focus quality, findings so far, time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from appliance.records import FieldRecord, FocusResult, Outcome
from appliance.scan.events import FieldDone, ScanListener, SecondPlaneDone

IN_FOCUS_CONFIDENCE = 0.5


@dataclass
class Tally:
    """Running totals for the bar."""

    usable: int = 0
    blank: int = 0
    failed: int = 0
    sharp: int = 0
    findings: int = 0

    def add(self, outcome: Outcome, focus: FocusResult, findings: int) -> None:
        """Count one more field."""
        self.usable += outcome is Outcome.USABLE
        self.blank += outcome is Outcome.BLANK
        self.failed += outcome is Outcome.FAILED
        self.sharp += outcome is Outcome.USABLE and focus.confidence >= IN_FOCUS_CONFIDENCE
        self.findings += findings

    def focus_share(self) -> str:
        """Share of usable fields whose focus is trusted."""
        return f"{100 * self.sharp / self.usable:.0f} %" if self.usable else "–"


class ProgressBar(ScanListener):
    """Draws a bar on a terminal, or prints a line every tenth field into a log."""

    def __init__(self, console: Console, progress: Progress, targets: tuple[str, ...]) -> None:
        self._console = console
        self._progress = progress
        self._targets = targets
        self._task = progress.add_task("starting", total=None, speed="", focus="–", findings=0)
        self._tally = Tally()
        self._total = 0

    def step(self, text: str) -> None:
        """Show the step in front of the bar."""
        self._progress.update(self._task, description=text)
        if not self._console.is_terminal:
            self._console.print(text)

    def planned(self, total: int, already: int) -> None:
        """Set the bar's length."""
        self._total = total
        self._progress.update(self._task, description="fields", total=total, completed=already)

    def field_done(self, done: FieldDone) -> None:
        """One step further."""
        self._tally.add(done.record.outcome, done.record.focus, self._counted(done.record))
        self._progress.advance(self._task)
        task = self._progress.tasks[0]
        self._progress.update(
            self._task,
            description="fields",
            speed=f"{task.speed:.2f} fields/s" if task.speed else "",
            focus=self._tally.focus_share(),
            findings=self._tally.findings,
        )
        if not self._console.is_terminal and (task.completed % 10 == 0 or task.completed == self._total):
            self._console.print(self._line())

    def second_plane_done(self, done: SecondPlaneDone) -> None:
        """The field holds more than it seemed to."""
        self._tally.findings += self._counted(done.record) - self._counted(done.first)
        self._progress.update(self._task, findings=self._tally.findings)

    def ended_early(self, visited: int) -> None:
        """The bar is full: nothing more is to come."""
        self._progress.update(self._task, description="ended early", total=visited, completed=visited)
        if not self._console.is_terminal:
            self._console.print(f"  ended early: {visited} of {self._total} fields are enough")

    def _counted(self, record: FieldRecord) -> int:
        return sum(record.counts.get(label, 0) for label in self._targets)

    def _line(self) -> str:
        task = self._progress.tasks[0]
        left = f"{task.time_remaining:.0f} s left" if task.time_remaining is not None else "time left unknown"
        return (
            f"  {int(task.completed)}/{self._total} fields, {task.fields['speed'] or 'speed unknown'}, "
            f"in focus {self._tally.focus_share()}, {self._tally.findings} findings, {left}"
        )


@contextmanager
def progress_bar(console: Console, targets: tuple[str, ...]) -> Iterator[ProgressBar]:
    """A bar that lives as long as the block."""
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TextColumn("in focus {task.fields[focus]}"),
        TextColumn("findings {task.fields[findings]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, speed_estimate_period=20, disable=not console.is_terminal) as progress:
        yield ProgressBar(console, progress, targets)
