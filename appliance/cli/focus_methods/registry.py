"""The methods of others by name; those from packages that are not installed say so."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from appliance.cli.focus_methods.exhaustive import Exhaustive
from appliance.cli.focus_methods.method import Method
from appliance.cli.focus_methods.openflexure import OpenFlexure
from appliance.cli.focus_methods.squid import Squid

_HERE = __package__


class NotInstalled(Exception):
    """The method's package is missing; the text says which, and what installs it."""


def _imported(module: str, name: str) -> Callable[[], Method]:
    def load() -> Method:
        try:
            return cast("Method", getattr(import_module(f"{_HERE}.{module}"), name))
        except ImportError as error:
            if (error.name or "").startswith("appliance"):
                raise
            raise NotInstalled(f"{error}; `make bench-focus` installs what is missing") from error

    return load


PEERS: dict[str, Callable[[], Method]] = {
    "exhaustive_21": lambda: Exhaustive,
    "squid": lambda: Squid,
    "openflexure": lambda: OpenFlexure,
    "pylabrobot_golden": _imported("golden", "GoldenSection"),
    "pymmcore_plus": _imported("mmcore", "focusing"),
    "pymmcore_plus_no_af": _imported("mmcore", "unfocused"),
}
"""Calling an entry gives the method, or raises NotInstalled."""
