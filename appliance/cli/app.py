"""The one command: `cytoscan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

import appliance
from appliance.cli.exits import Exit, exit_for
from appliance.cli.plain_console import plain_console
from appliance.errors import ApplianceError, Stopped
from drivers.errors import DeviceError
from engines.errors import EngineError

_HELP = "Scan a slide, score it in-line, give a verdict, report it to the hub. Research use only, not for diagnosis."
_GROUPS = {
    "engine": "Make, measure and install engine packages, the networks of the appliance. Research use only.",
    "calibrate": "Measure this device.",
    "serve": "Run a part of the appliance as a service: systemd starts these on a device.",
}
_COMMANDS = {
    "demo": "demo:demo",
    "scan": "scan:scan",
    "hub": "hub:hub",
    "doctor": "doctor:doctor",
    "acceptance": "device_acceptance:acceptance",
    "bench": "bench:app",
    "engine train": "engine_train:train",
    "engine evaluate": "engine_evaluate:evaluate",
    "engine import": "engine_import:import_engine",
    "engine update": "engine_update:update",
    "engine build": "engine_build:build",
    "engine list": "engine_slots:list_engines",
    "engine rollback": "engine_slots:rollback",
    "calibrate focus": "calibrate_focus:focus",
    "calibrate settle": "calibrate_settle:settle",
    "serve scanner": "serve_scanner:scanner",
    "serve ended": "serve_scanner:ended",
    "serve uplink": "serve_uplink:uplink",
    "release": "release:app",
}
"""Each as a module of this folder and what stands for it there: a function, or a `typer.Typer` of several."""


def _version(wanted: bool) -> None:
    if wanted:
        plain_console().print(f"cytoscan {appliance.__version__}")
        raise typer.Exit


def _common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Options before the command's name."""


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """With the command that is called, or with all of them where none is, as help lists them.

    Importing all takes a while, and memory that a service like the uplink has no use for.
    """
    app = typer.Typer(
        name="cytoscan", help=_HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    app.callback()(_common)
    groups: dict[str, typer.Typer] = {}
    for words in _called(arguments) or [name.split() for name in _COMMANDS]:
        *group, name = words
        found = _found(words)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        elif not group:
            app.command(name)(found)
        else:
            if group[0] not in groups:
                groups[group[0]] = typer.Typer(help=_GROUPS[group[0]], no_args_is_help=True)
                app.add_typer(groups[group[0]], name=group[0])
            groups[group[0]].command(name)(found)
    return app


def _called(arguments: Sequence[str]) -> list[list[str]]:
    """The words of the command that the arguments begin with, if they do."""
    return [words for words in map(str.split, _COMMANDS) if words == [*arguments[: len(words)]]]


def _found(words: Sequence[str]) -> Any:  # noqa: ANN401 - a command's signature is its own
    module, _, attribute = _COMMANDS[" ".join(words)].partition(":")
    return getattr(import_module(f"appliance.cli.{module}"), attribute)


def main() -> None:
    """Run the command; every known error becomes a sentence and its exit code, nothing else does."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command with these arguments; returns its exit code (`appliance.cli.exits`)."""
    try:
        app_for(arguments)(args=arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(Exit.FAULT)
    except (Stopped, KeyboardInterrupt) as error:
        _say("Stopped.", str(error))
        return int(Exit.INTERRUPTED)
    except (ApplianceError, DeviceError, EngineError) as error:
        _say("Error.", error.what, getattr(error, "safe", ""), error.remedy)
        return int(exit_for(error))
    return int(Exit.VERDICT)


def _say(*sentences: str) -> None:
    plain_console(errors=True).print("\n".join(s for s in sentences if s), style="bold")
