"""What the device trusts between two sticks: TUF's metadata of the last release it took, and the floor of time.

    <folder>/current -> state-…      changed by rename only, so both change together
    <folder>/state-…/metadata/       root_history/, root.json, timestamp.json, snapshot.json, targets.json
    <folder>/state-…/floor.json      a time that has surely passed

A stick is looked at in a copy of the state. TUF's client moves its trusted timestamp forward before it has seen the
targets: done in place, a torn newer stick would lock the good older one out for ever.

One updater at a time: the caller sees to that.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from tuf.api.exceptions import RepositoryError

from engines.durable import point, storing, sync, sync_tree
from engines.releases.documents import read_documents
from engines.releases.errors import TrustDamaged
from engines.releases.layout import METADATA

_FLOOR = "floor.json"
_STATE = "state-"


class _Floor(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    floor: AwareDatetime


class Trusted:
    """The folder of trust. built_at: when this application was built, a time that has surely passed (aware)."""

    def __init__(self, folder: Path, *, built_at: datetime) -> None:
        self._folder = folder
        self._current = folder / "current"
        self._built_at = built_at

    def floor(self) -> datetime:
        """The latest time that has surely passed. Raises TrustDamaged when its record cannot be read."""
        if not self._current.is_symlink():
            return self._built_at
        path = self._current / _FLOOR
        try:
            return max(self._built_at, _Floor.model_validate_json(path.read_bytes()).floor)
        except (OSError, ValidationError) as error:
            raise _damaged(path) from error

    def stage(self) -> Path:
        """A copy of the state to look at a stick with; what earlier looks left behind is removed.

        Raises TrustDamaged when the metadata cannot be read: TUF's client would take it for absent, and forget which
        releases are too old. Raises NotWritten when the disk refuses.
        """
        if self._current.is_symlink():
            try:
                read_documents(self._current / METADATA)
            except (OSError, RepositoryError) as error:
                raise _damaged(self._current / METADATA) from error
        with storing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self.sweep()
            staged = Path(tempfile.mkdtemp(prefix=_STATE, dir=self._folder))
            if self._current.is_symlink():
                shutil.copytree(self._current / METADATA, staged / METADATA, symlinks=True)
            else:
                (staged / METADATA).mkdir()
        return staged

    def accept(self, staged: Path, floor: datetime) -> None:
        """Trust what was staged last from now on, and that this time has passed.

        Raises NotWritten when the disk refuses, or another stick was staged since; the old state is then in force.
        """
        with storing(staged):
            (staged / _FLOOR).write_text(_Floor(floor=floor).model_dump_json(by_alias=True), encoding="utf-8")
            sync_tree(staged)
            sync(self._folder)
        point(self._current, staged.name)
        self.sweep()

    def sweep(self) -> None:
        """Remove what looks at sticks have left behind."""
        in_force = self._current.readlink().name if self._current.is_symlink() else ""
        for path in self._folder.glob(f"{_STATE}*"):
            if path.name != in_force:
                shutil.rmtree(path, ignore_errors=True)


def _damaged(path: Path) -> TrustDamaged:
    return TrustDamaged(
        f"{path}, by which this device knows genuine releases, cannot be read.",
        remedy="Restore its folder from a backup; without it the device no longer knows which releases are too old.",
    )
