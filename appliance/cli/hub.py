"""`cytoscan hub`: the reference receiver."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from appliance.cli.plain_console import plain_console
from appliance.cli.signals import stop_on_signal
from appliance.hub.broker import EmbeddedBroker
from appliance.hub.events import ReceivedVerdict
from appliance.hub.hub import OnVerdict
from appliance.hub.run import run_hub
from appliance.hub.store import HubStore

STORE = Path("build/cytoscan/hub.sqlite")


def hub(
    host: Annotated[str, typer.Option(help="The broker's host.")] = "localhost",
    port: Annotated[int, typer.Option(help="The broker's port.", min=1, max=65_535)] = 1883,
    protocol: Annotated[str, typer.Option(help="MQTT version: 5 or 3.1.1.")] = "5",
    store: Annotated[Path, typer.Option(help="Where verdicts are kept (SQLite).")] = STORE,
    broker: Annotated[bool, typer.Option("--broker", help="Start a small broker here too (MQTT 3.1.1).")] = False,
    show: Annotated[bool, typer.Option("--list", help="List what came so far, and end.")] = False,
) -> None:
    """Receive verdicts: validate, drop repeats, store, answer with a receipt; print each as it comes."""
    if protocol not in {"5", "3.1.1"}:
        raise typer.BadParameter("MQTT versions are 5 and 3.1.1", param_hint="--protocol")
    console = plain_console()
    store.parent.mkdir(parents=True, exist_ok=True)
    if show:
        with HubStore.open(store) as opened:
            console.print(_table(opened))
        return
    with stop_on_signal() as stop:
        if broker:
            with EmbeddedBroker() as embedded:
                console.print(f"Broker on {embedded.host}:{embedded.port} (MQTT 3.1.1)")
                _receive(embedded.host, embedded.port, "3.1.1", store, console, stop)
        else:
            _receive(host, port, protocol, store, console, stop)


def _receive(host: str, port: int, protocol: str, store: Path, console: Console, stop: threading.Event) -> None:
    run_hub(host, port, protocol, store, _print_to(console), stop=stop, on_change=_change_to(console))


def _print_to(console: Console) -> OnVerdict:
    def received(verdict: ReceivedVerdict) -> None:
        body = verdict.body
        console.print(
            f"{verdict.received_at:%H:%M:%S} {verdict.site}/{verdict.device} {body.accession} {body.slide} "
            f"run {body.run}  {body.assay}: {body.category}  {body.title}"
        )

    return received


def _change_to(console: Console) -> Callable[[str], None]:
    def changed(problem: str) -> None:
        console.print(f"Not receiving: {problem}" if problem else "Listening.")

    return changed


def _table(store: HubStore) -> Table:
    table = Table("received", "device", "accession", "slide", "run", "assay", "verdict", "repeats")
    for verdict in store.list_verdicts():
        body = verdict.body
        table.add_row(
            f"{verdict.received_at:%Y-%m-%d %H:%M:%S}",
            f"{verdict.site}/{verdict.device}",
            body.accession,
            body.slide,
            str(body.run),
            body.assay,
            f"{body.category}  {body.title}",
            str(verdict.repeats),
        )
    return table
