"""`cytoscan engine update`: the engine packages on a stick, installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

import appliance
from appliance.cli.engine_decision import Json, Who, Why, decision_of, keep_decision
from appliance.cli.engine_installer import fall_back, installer_on
from appliance.cli.frame import Frame
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.result import write_json
from appliance.errors import SettingsError
from appliance.journal import utc_now
from appliance.settings import Settings, load_settings
from appliance.update.install import Decision
from appliance.update.stick import Outcome, Wish, update_from
from engines import durable
from engines.releases.errors import ReleaseRefused
from engines.releases.trusted import Trusted
from engines.releases.verify import open_stick
from engines.slots.store import SlotStore


def update(
    stick: Annotated[Path, typer.Argument(help="Where the stick is mounted, e.g. /media/stick.")],
    *,
    who: Who = None,
    why: Why = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this package, by name. Repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Verify everything and change nothing.")] = False,
    frame: Frame = None,
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    json_path: Json = None,
) -> None:
    """Install the engine packages on a stick: verify, stage, build, accept, activate. Started again, it goes on."""
    settings = load_settings(settings_file, overrides or [])
    root = _root_of_trust(settings)
    decision = decision_of(who, why, asked=not dry_run)
    wish = Wish(tuple(only or ()), dry_run)
    with _kept_if_refused(settings, decision, stick, wish):
        outcomes = _installed(settings, stick, root, decision, wish, frame)
    told = [
        {"package": one.package, "release": one.release, "fate": one.fate.value, "why": one.why} for one in outcomes
    ]
    if not dry_run:
        keep_decision(settings, decision, "engine.update", {"stick": str(stick), "outcomes": told})
    if json_path is not None:
        write_json(json_path, {"dry_run": dry_run, "outcomes": told})
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error


def _installed(
    settings: Settings, stick: Path, root: bytes, decision: Decision, wish: Wish, frame: str | None
) -> list[Outcome]:
    tell = plain_console().print
    slots = settings.engines.slots
    slots.mkdir(parents=True, exist_ok=True)
    store, trusted = SlotStore(slots), Trusted(slots.with_name(f"{slots.name}-trusted"), built_at=appliance.RELEASED)
    with ExitStack() as held:
        held.enter_context(store.updating())
        scratch = held.enter_context(_scratch(slots.with_name(f"{slots.name}-scratch")))
        if not wish.dry_run:
            fall_back(store, settings)
        held.callback(trusted.sweep)
        offer = open_stick(stick, trusted, root, now=utc_now(), scratch=scratch)
        tell(f"The release on {stick} is genuine: of {offer.signed_at:%Y-%m-%d}, good until {offer.expires:%Y-%m-%d}.")
        installer, golden_fields = held.enter_context(installer_on(settings, store, frame))
        return update_from(
            offer,
            store,
            installer,
            decision,
            wish,
            app_version=appliance.__version__,
            golden_fields=golden_fields,
            scratch=scratch,
            tell=tell,
        )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards; always the same one, so that what a killed update has left goes with it."""
    durable.remove_tree(folder)
    durable.make_folder(folder)
    try:
        yield folder
    finally:
        durable.remove_tree(folder)


@contextmanager
def _kept_if_refused(settings: Settings, decision: Decision, stick: Path, wish: Wish) -> Iterator[None]:
    """A stick that is refused stands in the audit trail, too."""
    try:
        yield
    except ReleaseRefused as error:
        if not wish.dry_run:
            detail = {"stick": str(stick), "kind": error.kind.value, "refused": error.what}
            keep_decision(settings, decision, "engine.update.refused", detail)
        raise


def _root_of_trust(settings: Settings) -> bytes:
    path = settings.engines.trust_root
    if path is None:
        raise SettingsError(
            "It is not known whose releases this device takes.",
            safe="Nothing was changed.",
            remedy="Set engines.trust_root to the root.json of your maker.",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"engines.trust_root: {path} cannot be read: {error.strerror}.",
            safe="Nothing was changed.",
            remedy="Correct the path, or its permissions.",
        ) from error
