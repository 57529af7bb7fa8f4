"""`cytoscan engine build`: an engine that fits this device as it is."""

from __future__ import annotations

from typing import Annotated

import typer

import appliance
from appliance.cli.engine_decision import Json, Who, Why, decision_of, keep_decision, slot_data
from appliance.cli.engine_installer import fall_back, installer_on
from appliance.cli.frame import Frame, frame_size
from appliance.cli.options import Overrides, SettingsFile
from appliance.cli.plain_console import plain_console
from appliance.cli.result import write_json
from appliance.cli.scoring import present_gpu, why_not_on_gpu
from appliance.journal import utc_now
from appliance.settings import Settings, load_settings
from appliance.update.install import Candidate, Draw, built_again, origin
from appliance.update.versions import shipped_version, version_order
from engines.cuda.probe import GpuAbsent
from engines.package import load_package, shipped_as
from engines.runtimes import frame_of
from engines.slots.slot import Slot
from engines.slots.store import SlotStore
from engines.tensorrt.signature import signature

_SHIPPED = "shipped with "


def build(
    name: Annotated[str, typer.Argument(help="Package, by name: the one in use here, or the shipped one.")],
    *,
    if_needed: Annotated[
        bool, typer.Option("--if-needed", help="Change nothing where the engine in use fits this device as it is.")
    ] = False,
    who: Who = None,
    why: Why = None,
    frame: Frame = None,
    settings_file: SettingsFile = None,
    overrides: Overrides = None,
    json_path: Json = None,
) -> None:
    """Build an engine of a package for this device, try it, use it: at installation, and after updates of JetPack."""
    settings = load_settings(settings_file, overrides or [])
    decision = decision_of(who, why, asked=True)
    store = SlotStore(settings.engines.slots)
    with store.updating():
        fall_back(store, settings)
        used = store.current(name)
        if if_needed and used is not None and _fits(used, settings, frame):
            made = used
        else:
            with installer_on(settings, store, frame) as (installer, golden_fields):
                made = installer.install(_candidate(name, used, golden_fields), decision)
    if made is not used:
        detail = {"package": made.record.title, "release": made.record.release}
        keep_decision(settings, decision, "engine.build", detail)
    if json_path is not None:
        write_json(json_path, slot_data(made, in_use=True))


def _candidate(name: str, used: Slot | None, draw: Draw) -> Candidate:
    """What is in use, with the golden fields and the keys of its release; the shipped package where nothing is.

    Also where an older one is in use that was shipped: then the application was renewed.
    """
    if used is None or _newer_is_shipped(used):
        return Candidate(shipped_as(name), None, draw, f"{_SHIPPED}{appliance.__version__}")
    again = built_again(used.record.release, utc_now())
    return Candidate(used.package, used.golden, draw, again, used.record.signing_key_ids)


def _newer_is_shipped(used: Slot) -> bool:
    if not origin(used.record.release).startswith(_SHIPPED):
        return False
    shipped = shipped_version(used.name)
    return shipped is not None and version_order(shipped) > version_order(used.record.version)


def _fits(used: Slot, settings: Settings, frame: str | None) -> bool:
    """Whether the engine in use can stay; says so, or why not."""
    misfit = _misfit(used, settings, frame)
    plain_console().print(misfit or f"{used.record.title} stays in use as it is: nothing is built.")
    return not misfit


def _misfit(used: Slot, settings: Settings, frame: str | None) -> str:
    """Why the engine in use has to be built for this device as it is; empty where it has not.

    What is in use has been accepted; that is enough where there is no GPU to build for, be it out of order for now.
    With a GPU it has to have been built under what is there now, and for the camera's pictures.
    """
    if _newer_is_shipped(used):
        return f"A newer {used.name} than {used.record.version} is shipped with this application."
    size = frame_size(settings, frame)
    if isinstance(present_gpu(), GpuAbsent):
        return ""
    package = load_package(used.package)
    why, _ = why_not_on_gpu(package, used)
    if why:
        return why
    built, now = frame_of(used.engine), size()
    if signature(package, built) == signature(package, now):  # one that reads tiles fits any camera
        return ""
    return (
        f"The engine of {package.title} was built for pictures of {built.width_px}x{built.height_px} px; the camera's "
        f"have {now.width_px}x{now.height_px} px."
    )
