"""Where commands print their lines."""

from __future__ import annotations

from rich.console import Console


def plain_console(*, errors: bool = False) -> Console:
    """A console that prints what it is given, on the output stream or on that of errors.

    A command's answer to a person goes to the output stream. What tells of its progress, and what goes wrong, goes to
    that of errors, so that a bench's or an evaluation's JSON stays alone on the other.
    Names of cases, slides and files may hold brackets or colons, which are neither markup nor emoji here. A line is not
    broken, so that it can be found in a log, and a path copied from it.
    """
    return Console(stderr=errors, markup=False, emoji=False, highlight=False, soft_wrap=True)
