"""A package, and a place to build it in: a real child that finds a fake TensorRT and a driver that stands in."""

from __future__ import annotations

import hashlib
import json
import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from engines.building.record import BuildRecord
from engines.building.resources import Resources
from engines.building.runner import build_engine
from engines.package import MANIFEST, EnginePackage, load_package, shipped
from engines.tensorrt.signature import FrameSize

from ..cuda.stand_in import StandIn

ROOT = Path(__file__).resolve().parents[3]
FRAME = FrameSize(64, 96)
PLENTY = Resources(1 << 40, 1 << 40)


@pytest.fixture(scope="session")
def libcuda(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A driver with one GPU; under a name of its own, as other tests of this process look for theirs."""
    return StandIn(tmp_path_factory.mktemp("cuda"), "libcuda-building.so").path


def write_package(folder: Path, network: bytes = b"onnx:image:mean", **changes: object) -> EnginePackage:
    """A package whose network the fake reads: "onnx:", its input's name, how it answers."""
    manifest = yaml.safe_load((shipped("afb") / MANIFEST).read_text(encoding="utf-8"))
    manifest["onnx"]["sha256"] = hashlib.sha256(network).hexdigest()
    manifest["input"]["name"] = "image"
    folder.mkdir(parents=True)
    (folder / manifest["onnx"]["file"]).write_bytes(network)
    (folder / MANIFEST).write_text(yaml.safe_dump({**manifest, **changes}), encoding="utf-8")
    return load_package(folder)


@dataclass
class Place:
    """Where a build happens. told: all progress that was heard."""

    root: Path
    libcuda: str
    set_environment: Callable[[str, str], None]
    told: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.root / "slot" / "engine"

    @property
    def caches(self) -> Path:
        return self.root / "caches"

    @property
    def log(self) -> Path:
        return self.root / "logs" / "build.log"

    @property
    def left(self) -> list[str]:
        """All files that lie in the slot."""
        return sorted(str(path.relative_to(self.root / "slot")) for path in self.root.glob("slot/**/*"))

    def tensorrt(self, **behaviour: object) -> None:
        """How the child's TensorRT behaves, see `on_path/tensorrt.py`; underscores stand for blanks."""
        told = {name.replace("_", " "): value for name, value in behaviour.items()}
        self.set_environment("FAKE_TENSORRT", json.dumps(told))

    def build(self, package: EnginePackage, **options: object) -> BuildRecord:
        """Options of `build_engine`, in place of those of this place."""
        ours = {
            "caches": self.caches,
            "out": self.out,
            "log": self.log,
            "progress": lambda *step: self.told.append(step),
            "free": PLENTY,
            "libcuda": self.libcuda,
            "nice": 0,  # on a busy machine the tests would otherwise never end
        }
        return build_engine(package, FRAME, **{**ours, **options})  # type: ignore[arg-type]


class Held:
    """A build that waits in the middle of its first phase until it is let go or dies; it gives its process id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("here", "go"):
            os.mkfifo(folder / name)

    def pid(self) -> int:
        """Waits until the build waits."""
        return int((self.folder / "here").read_text())

    def go_on(self) -> None:
        (self.folder / "go").write_text("")


def wait_for_end(pid: int, seconds: float = 20) -> bool:
    """Whether the process, which may be another's child, ends in this time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@pytest.fixture
def place(tmp_path: Path, libcuda: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent / "on_path"), str(ROOT)]))
    return Place(tmp_path, str(libcuda), monkeypatch.setenv)


@pytest.fixture
def held(tmp_path: Path, place: Place) -> Held:
    held = Held(tmp_path / "held")
    place.tensorrt(waits_in=str(held.folder))
    return held


@pytest.fixture
def package(tmp_path: Path) -> EnginePackage:
    return write_package(tmp_path / "package")
