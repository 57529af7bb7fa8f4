"""`cytoscan engine list | rollback`: the engines in this device's slots."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.cli.engine_decision import Json, Who, Why, decision_of, keep_decision, slot_data
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.result import write_json
from appliance.journal import utc_now
from appliance.settings import load_settings
from engines.slots.errors import BadSlot
from engines.slots.store import SlotStore


def list_engines(
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    json_path: Json = None,
) -> None:
    """The engines in this device's slots: which is in use, how far each has come, and why."""
    settings = load_settings(settings_file, overrides or [])
    store, console = SlotStore(settings.engines.slots), plain_console()
    told: list[dict[str, object]] = []
    for name in store.names():
        try:
            current = store.current(name)
        except BadSlot as error:
            current = None
            console.print(f"{name}: {error.what} The next start of the scanner falls back.")
        for slot in store.slots(name):
            in_use = current is not None and slot.folder == current.folder
            last = slot.record.history[-1]
            sign = "*" if in_use else " "
            console.print(
                f"{sign} {slot.name} {slot.side}: {slot.record.version}, {slot.state.value} since "
                f"{last.at:%Y-%m-%d %H:%M} by {last.who} ({last.why}); {slot.record.release}"
            )
            told.append(slot_data(slot, in_use=in_use))
    if not told:
        console.print("No engine is installed here: the shipped packages are used.")
    if json_path is not None:
        write_json(json_path, {"engines": told})


def rollback(
    name: Annotated[str, typer.Argument(help="Engine, by the name of its package.")],
    *,
    who: Who = None,
    why: Why = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be used, and change nothing.")] = False,
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    json_path: Json = None,
) -> None:
    """Go back to the engine that was in use before; the one in use now is rejected."""
    settings = load_settings(settings_file, overrides or [])
    decision = decision_of(who, why, asked=not dry_run)
    store, tell = SlotStore(settings.engines.slots), plain_console().print
    with store.updating():
        if dry_run:
            slot = store.before(name)
            tell(f"{slot.record.title} ({slot.record.release}) would be used again.")
        else:
            slot = store.roll_back(name, who=decision.who, why=decision.why, now=utc_now())
            tell(f"{slot.record.title} ({slot.record.release}) is used again.")
    if not dry_run:
        keep_decision(
            settings, decision, "engine.rollback", {"package": slot.record.title, "release": slot.record.release}
        )
    if json_path is not None:
        write_json(json_path, slot_data(slot, in_use=not dry_run))
