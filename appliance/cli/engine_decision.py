"""Who changes this device's engines, and why: said or asked for, and kept in the audit trail."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from appliance.journal import Journal
from appliance.settings import Settings
from appliance.update.install import Decision
from engines.slots.slot import Slot

Who = Annotated[str | None, typer.Option(help="Who does this; asked for where it is not given.")]
Why = Annotated[str | None, typer.Option(help="Why; asked for where it is not given.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write what was done here.")]


def decision_of(who: str | None, why: str | None, *, asked: bool) -> Decision:
    """Who and why, asked for at a terminal where it has to be known; a script has to say."""
    if not asked:
        return Decision(who or getpass.getuser(), why or "dry run")
    return Decision(_said(who, "Who does this?", "--who"), _said(why, "Why?", "--why"))


def _said(given: str | None, question: str, option: str) -> str:
    answer = (given or "").strip()
    while not answer:
        if not sys.stdin.isatty():
            raise typer.BadParameter("it stands in the audit trail, and nobody is here to be asked", param_hint=option)
        answer = str(typer.prompt(question)).strip()
    return answer


def keep_decision(settings: Settings, decision: Decision, action: str, detail: Mapping[str, object]) -> None:
    """A row in the audit trail. Raises JournalError."""
    settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
    with Journal.open(settings.journal.path) as journal:
        journal.audit(decision.who, action, {"why": decision.why, **detail})


def slot_data(slot: Slot, *, in_use: bool) -> dict[str, object]:
    """A slot as plain JSON data."""
    record = slot.record
    return {
        "name": slot.name,
        "slot": slot.side,
        "in_use": in_use,
        "version": record.version,
        "state": record.state.value,
        "release": record.release,
        "slides_started": record.slides_started,
        "slides_finished": record.slides_finished,
        "history": [{**step.model_dump(mode="json")} for step in record.history],
    }
