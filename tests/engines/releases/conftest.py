"""A maker, and a device that trusts the maker's first root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engines.releases.errors import Refusal, ReleaseRefused
from engines.releases.trusted import Trusted
from engines.releases.verify import Offer, open_stick
from tests.engines.releases.maker import BORN, Maker


@dataclass
class Device:
    folder: Path
    root: bytes
    built_at: datetime = BORN

    @property
    def trusted(self) -> Trusted:
        return Trusted(self.folder / "trusted", built_at=self.built_at)

    def open(self, stick: Path, *, now: datetime = BORN, max_package_bytes: int = 1 << 20) -> Offer:
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        return open_stick(stick, self.trusted, self.root, now=now, scratch=scratch, max_package_bytes=max_package_bytes)

    def install(self, stick: Path, *, now: datetime = BORN) -> list[bytes]:
        """Take all packages of a stick and trust it; their content."""
        offer = self.open(stick, now=now)
        content = [offer.download(package).read_bytes() for package in offer.packages]
        offer.commit()
        return content

    def refusal(self, stick: Path, *, now: datetime = BORN) -> Refusal:
        """Why a stick is refused when it is opened; what the device trusts has not changed by that."""
        before = self.state()
        with pytest.raises(ReleaseRefused) as caught:
            self.open(stick, now=now)
        assert self.state() == before
        assert str(stick) in caught.value.what
        return caught.value.kind

    def state(self) -> dict[str, bytes]:
        """Every file that the device trusts now, by name."""
        current = self.folder / "trusted" / "current"
        return {str(path.relative_to(current)): path.read_bytes() for path in current.rglob("*") if path.is_file()}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one, since here hundreds of files are forced to the disk."""
    shared = Path("/dev/shm")  # noqa: S108
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def first_maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    """Made once; each test gets a copy."""
    made = Maker(tmp_path_factory.mktemp("first") / "maker")
    made.release("1.0.0")
    return made


@pytest.fixture
def maker(first_maker: Maker, tmp_path: Path) -> Maker:
    return first_maker.copy(tmp_path / "maker")


@pytest.fixture
def device(tmp_path: Path, maker: Maker) -> Device:
    return Device(tmp_path / "device", maker.root)
