"""The one command: `cytoscan`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import appliance
from appliance.cli import (
    bench,
    calibrate,
    calibrate_settle,
    demo,
    device_acceptance,
    doctor,
    engine,
    hub,
    release,
    scan,
    serve,
)
from appliance.cli.exits import Exit, exit_for
from appliance.cli.plain_console import plain_console
from appliance.errors import ApplianceError
from appliance.scan.scanner import Stopped
from drivers.errors import DeviceError
from engines.errors import EngineError

app = typer.Typer(
    name="cytoscan",
    help="Scan a slide, score it in-line, give a verdict, report it to the hub. Research use only, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo.demo)
app.command()(scan.scan)
app.command()(hub.hub)
app.command()(doctor.doctor)
app.command()(device_acceptance.acceptance)
calibrate.app.command()(calibrate_settle.settle)
app.add_typer(bench.app, name="bench")
app.add_typer(engine.app, name="engine")
app.add_typer(calibrate.app, name="calibrate")
app.add_typer(serve.app, name="serve")
app.add_typer(release.app, name="release")


def _version(wanted: bool) -> None:
    if wanted:
        plain_console().print(f"cytoscan {appliance.__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Options before the command's name."""


def main() -> None:
    """Run the command; every known error becomes a sentence and its exit code, nothing else does."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command with these arguments; returns its exit code (`appliance.cli.exits`)."""
    try:
        app(args=arguments)
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
