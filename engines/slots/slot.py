"""One slot: a folder with an engine package, what was built of it here, how it was accepted, and its record.

package/          manifest.yaml, network, model card, as they were released
golden/           the golden fields that its release brought; not there where it brought none
engine/           the plan and its build record; not there for a runtime that builds nothing
acceptance.json   the report that let it in
fingerprint.json  what it was built with, and on
slot.json         the record
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from engines import durable
from engines.errors import BadPackage
from engines.slots.errors import BadSlot
from engines.slots.record import Record, State

PACKAGE = "package"
GOLDEN = "golden"
ENGINE = "engine"
ACCEPTANCE = "acceptance.json"
FINGERPRINT = "fingerprint.json"
_RECORD = "slot.json"
_NOT_USED = "It is not used; install its release again."


@dataclass(frozen=True)
class Slot:
    """A slot with a valid record, as it was read."""

    folder: Path
    record: Record

    @property
    def name(self) -> str:
        """The engine's name."""
        return self.folder.parent.name

    @property
    def side(self) -> str:
        """Which slot of the two, "a" or "b"."""
        return self.folder.name

    @property
    def state(self) -> State:
        """How far the engine has come."""
        return self.record.state

    @property
    def package(self) -> Path:
        """For `engines.package.load_package`."""
        return self.folder / PACKAGE

    @property
    def golden(self) -> Path | None:
        """For `engines.acceptance.golden.load_golden`; None where the release brought no golden fields."""
        brought = any(name.startswith(f"{GOLDEN}/") for name in self.record.sealed)
        return self.folder / GOLDEN if brought else None

    @property
    def fingerprint(self) -> Path:
        """What it was built with, and on; there once it was accepted."""
        return self.folder / FINGERPRINT

    @property
    def engine(self) -> Path:
        """Where the files lie that were built here."""
        return self.folder / ENGINE


def open_slot(folder: Path) -> Slot:
    """Read a slot's record. Raises BadSlot where there is no valid one: the slot then counts as empty."""
    path = folder / _RECORD
    try:
        return Slot(folder, Record.model_validate_json(path.read_bytes()))
    except OSError as error:
        raise BadSlot(f"{path} cannot be read: {error.strerror}.", remedy=_NOT_USED) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BadSlot(f"{path} is not a valid record: {where}: {first['msg']}.", remedy=_NOT_USED) from error


def verify(slot: Slot) -> None:
    """Whether each file is there and is the one that was sealed, and no other. Raises BadSlot naming the first."""
    found = _contents(slot.folder)
    for name in sorted(found | slot.record.sealed.keys()):
        path = slot.folder / name
        if name not in found:
            raise BadSlot(f"{path} is missing.", remedy=_NOT_USED)
        if name not in slot.record.sealed:
            raise BadSlot(f"{path} does not belong to {slot.record.title}.", remedy=_NOT_USED)
        try:
            whole = not path.is_symlink() and _sha256(path.read_bytes()) == slot.record.sealed[name]
        except OSError as error:
            raise BadSlot(f"{path} cannot be read: {error.strerror}.", remedy=_NOT_USED) from error
        if not whole:
            raise BadSlot(f"{path} has been altered since it was put there.", remedy=_NOT_USED)


def write_record(folder: Path, record: Record) -> Slot:
    """Give the slot this record. Raises NotWritten; the earlier record then stands."""
    durable.write_file(folder / _RECORD, record.to_json())
    return Slot(folder, record)


def add_files(folder: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write files by their paths in the slot; returns what to seal. Raises NotWritten."""
    for name, data in files.items():
        durable.write_file(folder / name, data)
    return {name: _sha256(data) for name, data in files.items()}


def empty(folder: Path) -> None:
    """Remove all that lies in the slot, its record first: what is half removed counts as empty. Raises NotWritten."""
    durable.remove_file(folder / _RECORD)
    durable.remove_tree(folder)


def remove_unsealed(slot: Slot) -> None:
    """Remove what a step that was interrupted has left. Raises NotWritten."""
    for name in _contents(slot.folder) - slot.record.sealed.keys():
        durable.remove_file(slot.folder / name)


def release_files(package: Path, golden: Path | None) -> dict[str, bytes]:
    """What a release brought, by its paths in a slot: the files of the package's folder, and of its golden fields'.

    Raises BadPackage for what is not a plain file.
    """
    files = _read_all(package, PACKAGE)
    return files if golden is None else files | _read_all(golden, GOLDEN)


def _read_all(folder: Path, place: str) -> dict[str, bytes]:
    files = {}
    for name in sorted(_files(folder)):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BadPackage(f"{path} is not a plain file.", remedy="Unpack the release again from where it was made.")
        try:
            files[f"{place}/{name}"] = path.read_bytes()
        except OSError as error:
            raise BadPackage(
                f"{path} cannot be read: {error.strerror}.", remedy="Check disk and permissions."
            ) from error
    return files


def _contents(folder: Path) -> set[str]:
    """What there is to seal: all but the record, and the draft of one that a crash may leave."""
    return _files(folder) - {_RECORD, durable.draft_of(Path(_RECORD)).name}


def _files(folder: Path) -> set[str]:
    """Paths within a folder of all but real folders."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in found}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
