"""How far the building of an engine is: a bar for each phase on a terminal, a line for each in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def build_progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Yields what is told of phase, step, and steps of the phase."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def show(phase: str, step: int, steps: int) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=steps)
                if not console.is_terminal:
                    console.print(f"  {phase}: {steps} steps")
            progress.update(tasks[phase], completed=step, total=steps)

        yield show
