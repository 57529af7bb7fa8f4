"""A small engine in several versions, its releases on sticks, and a device's runtime that counts what it is asked."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from appliance.update.install import Decision, Installer
from engines.acceptance.golden import FOLDER, GOLDEN, Golden, load_golden
from engines.acceptance.make import make_golden
from engines.building.record import PLAN, RECORD
from engines.cuda.probe import Gpu
from engines.errors import EngineError
from engines.fingerprint import Build
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MANIFEST, EnginePackage
from engines.releases.archive import pack
from engines.releases.repository import add
from engines.releases.signing import sign
from engines.scorer import Scorer
from engines.slots.store import SlotStore
from engines.training.packaging import write_package
from tests.engines.acceptance.pictures import some_pictures
from tests.engines.redness import POINT, RECIPE, noise_pictures, redness_layers
from tests.engines.releases.maker import BORN, Maker
from tests.engines.slots.life import TRIAL

NAME = RECIPE.name
NOW = datetime(2026, 11, 28, 9, 30, tzinfo=timezone.utc)
DECISION = Decision("J. Doe", "finds more")
ORIN = Gpu("Orin", "8.7", "12.6")
BUILD = Build("10.3.0", {"workspace_mib": 64}, None, ())


@contextmanager
def memory() -> Iterator[Path]:
    """A folder in memory where there is one, since here hundreds of files are forced to the disk."""
    shared = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Engine:
    """A package's folder, and its golden fields'."""

    package: Path
    golden: Path

    def version(self, folder: Path, version: str, **changes: object) -> Engine:
        """The same network under another version, with other fields of the manifest, in a new folder."""
        made = Engine(folder / "package", folder / FOLDER)
        shutil.copytree(self.package, made.package)
        shutil.copytree(self.golden, made.golden)
        manifest = yaml.safe_load((made.package / MANIFEST).read_text(encoding="utf-8"))
        told = yaml.safe_dump({**manifest, "version": version, **changes})
        (made.package / MANIFEST).write_text(told, encoding="utf-8")
        return made

    def promises_too_much(self) -> Engine:
        """Its golden fields now expect a finding where there is none: no device accepts it."""
        told = yaml.safe_load((self.golden / GOLDEN).read_text(encoding="utf-8"))
        told["fields"][0]["expected"].append({"label": "red", "x_px": 120.0, "y_px": 90.0, "probability": 0.9})
        (self.golden / GOLDEN).write_text(yaml.safe_dump(told), encoding="utf-8")
        return self

    def with_golden_of_another_network(self) -> Engine:
        """Its golden fields now say that they were made of another one."""
        told = yaml.safe_load((self.golden / GOLDEN).read_text(encoding="utf-8"))
        (self.golden / GOLDEN).write_text(yaml.safe_dump({**told, "onnx_sha256": "0" * 64}), encoding="utf-8")
        return self

    def load_golden(self, _: EnginePackage) -> Golden:
        return load_golden(self.golden)


def make_engine(folder: Path) -> Engine:
    """Version 1.2.3, with golden fields by ONNX Runtime."""
    made = Engine(folder / "package", folder / FOLDER)
    package = write_package(
        made.package, RECIPE, redness_layers(), input_scale=1 / 64, pictures=noise_pictures(), point=POINT
    )
    make_golden(package, some_pictures(), made.golden, OnnxCpuScorer(package).score)
    return made


def release(maker: Maker, engine: Engine, *, golden: bool = True, min_app: str = "0.1.0") -> None:
    """Pack an engine, and sign it into the maker's list."""
    archive = maker.folder.parent / "made.tar"
    listing = pack(engine.package, engine.golden if golden else None, archive, min_app=min_app)
    add(maker.folder, archive, listing, now=BORN)
    sign(maker.folder, maker.targets_key)


@dataclass
class CountingRuntime:
    """A GPU whose engines are the packages' own networks. fails: what the next build raises."""

    gpu: Gpu | None = ORIN
    device_class: str = "Orin"
    fails: EngineError | None = None
    builds: int = 0
    opened: int = 0

    def check(self, package: EnginePackage, golden: Golden | None) -> None:
        return

    def build(self, package: EnginePackage, progress: Callable[[str, int, int], None]) -> dict[str, bytes]:
        self.builds += 1
        if self.fails is not None:
            raise self.fails
        progress("Timing", 1, 1)
        return {PLAN: f"plan of {package.title}".encode(), RECORD: b"{}"}

    def build_of(self, engine: Path) -> Build | None:
        assert (engine / PLAN).is_file()
        return BUILD

    def open(self, package: EnginePackage, engine: Path | None) -> OnnxCpuScorer:
        assert engine is not None
        assert (engine / PLAN).read_text() == f"plan of {package.title}"
        self.opened += 1
        return OnnxCpuScorer(package)

    def reference(self, package: EnginePackage) -> Scorer | None:
        return OnnxCpuScorer(package)


@dataclass
class Device:
    """A device's folder of slots. told: what it said; progress: of its builds."""

    folder: Path
    runtime: CountingRuntime = field(default_factory=CountingRuntime)
    told: list[str] = field(default_factory=list)
    progress: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def store(self) -> SlotStore:
        return SlotStore(self.folder / "engines")

    def installer(self, store: SlotStore) -> Installer:
        ticks = itertools.count()
        return Installer(
            store,
            self.runtime,
            now=lambda: NOW,
            clock=lambda: next(ticks) / 1000,
            tell=self.told.append,
            progress=lambda *step: self.progress.append(step),
        )

    def standing(self) -> dict[str, str]:
        """Version and state of what lies in the slots of the small engine, and which version is in use."""
        store = self.store
        current = store.current(NAME)
        held = {slot.record.version: slot.state.value for slot in store.slots(NAME)}
        return {**held, "in use": current.record.version if current else ""}


def read_slides(store: SlotStore) -> None:
    """So many that the engine in use is good."""
    with store.reading():
        for _ in range(TRIAL.good_after):
            store.slide_started(NAME)
            store.slide_finished(NAME, TRIAL, who="scanner", now=NOW)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, byte by byte, and where each link leads."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[path.relative_to(folder).as_posix()] = b"-> " + str(path.readlink()).encode()
        elif path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
