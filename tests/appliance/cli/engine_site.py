"""A device's folder, and the real commands run on it in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.assays import load_assay
from appliance.cli import engine_build, engine_installer, scoring
from appliance.cli.app import run
from appliance.cli.scoring import scorer
from appliance.journal import JournalReader
from appliance.journal.audit import AuditRow
from appliance.settings import Settings, load_settings
from appliance.update.install import Candidate
from engines.cuda.probe import Gpu, GpuAbsent
from engines.runtimes import CpuRuntime
from engines.slots.slot import Slot
from engines.slots.store import SlotStore
from tests.appliance.update.small import DECISION, NAME, CountingRuntime, Device, Engine

ABSENT = GpuAbsent("There is no CUDA driver here.", remedy="Install JetPack.")
WHO = ("--who", "J. Doe", "--why", "finds more")
FRAME = ("--frame", "128x96")
AFB = load_assay("afb")


def put_gpu(monkeypatch: pytest.MonkeyPatch, gpu: Gpu | GpuAbsent) -> None:
    """What the machine is found to have, whatever it has."""
    for module in (engine_installer, engine_build, scoring):
        monkeypatch.setattr(module, "present_gpu", lambda: gpu)


@dataclass
class Site:
    """folder: all that the device keeps; root: of the maker whose releases it takes. settings: more of them."""

    folder: Path
    root: bytes = b""
    settings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.trust_root.write_bytes(self.root)

    @property
    def trust_root(self) -> Path:
        return self.folder.parent / "root.json"

    @property
    def given(self) -> list[str]:
        kept = [f"engines.slots={self.folder / 'engines'}", f"journal.path={self.folder / 'journal.sqlite'}"]
        trust = [f"engines.trust_root={self.trust_root}"] if self.root else []
        return [*kept, *trust, "uplink.enabled=false", *self.settings]

    @property
    def loaded(self) -> Settings:
        return load_settings(None, self.given)

    @property
    def store(self) -> SlotStore:
        return SlotStore(self.folder / "engines")

    @property
    def result(self) -> dict[str, Any]:
        """What `--json` wrote last."""
        found: dict[str, Any] = json.loads(self._json.read_text(encoding="utf-8"))
        return found

    def run(self, *arguments: str | Path) -> int:
        """The exit code of a command with this device's settings."""
        settings = [word for setting in self.given for word in ("--set", setting)]
        return run([*map(str, arguments), *settings])

    def told(self, *arguments: str | Path) -> int:
        """The same, with `--json`."""
        self._json.unlink(missing_ok=True)
        return self.run(*arguments, "--json", self._json)

    def update(self, stick: Path, *more: str) -> int:
        return self.told("engine", "update", stick, *WHO, *FRAME, *more)

    def audit(self) -> list[AuditRow]:
        """All rows about engines."""
        with JournalReader.open(self.folder / "journal.sqlite") as journal:
            assert journal.verify_audit().ok
            return [row for row in journal.audit_rows() if row.action.startswith("engine.")]

    def standing(self) -> dict[str, str]:
        """Version and state of what lies in the slots of the small engine, and which version is in use."""
        current = self.store.current(NAME)
        held = {slot.record.version: slot.state.value for slot in self.store.slots(NAME)}
        return {**held, "in use": current.record.version if current else ""}

    @property
    def _json(self) -> Path:
        return self.folder.parent / "result.json"


def install(site: Site, engine: Engine, runtime: CountingRuntime | None = None) -> Slot:
    """By whatever runtime; its release is named after its folder."""
    used = runtime or CpuRuntime(site.folder / "engine-runtime.json")
    store, device = site.store, Device(site.folder, used)  # type: ignore[arg-type]
    with store.updating():
        candidate = Candidate(engine.package, engine.golden, engine.load_golden, str(engine.package))
        return device.installer(store).install(candidate, DECISION)


def in_use(settings: Settings) -> tuple[str, str]:
    """Package and kind of runtime that a slide would be read with."""
    with scorer(settings, AFB) as opened:
        return opened.package.title, opened.scorer.backend.kind
