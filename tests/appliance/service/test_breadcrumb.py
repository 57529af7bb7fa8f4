"""The note of the slide in hand."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from appliance.service.breadcrumb import Breadcrumb
from appliance.service.errors import ServiceError
from appliance.service.requests import SlideInHand

from .conftest import NOW

SLIDE = SlideInHand(assay="afb", accession="S26-1", slide="A1", operator="u:1", volume_ml=2.5, started_at=NOW)


def test_what_was_noted_is_read_again_until_it_is_cleared(tmp_path: Path) -> None:
    crumb = Breadcrumb(tmp_path / "slide.json")
    assert crumb.read() is None
    crumb.write(SLIDE)
    crumb.write(SLIDE.model_copy(update={"slide": "A2"}))
    assert Breadcrumb(tmp_path / "slide.json").read() == SLIDE.model_copy(update={"slide": "A2"})
    assert [path.name for path in tmp_path.iterdir()] == ["slide.json"]
    crumb.clear()
    crumb.clear()
    assert crumb.read() is None
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_keeps_the_note_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crumb = Breadcrumb(tmp_path / "slide.json")
    crumb.write(SLIDE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(ServiceError, match="No space left"):
            crumb.write(SLIDE.model_copy(update={"slide": "A2"}))
    assert crumb.read() == SLIDE


@pytest.mark.parametrize("damage", [b"", b'{"assay": "afb"', b"\xff"])
def test_a_note_that_cannot_be_read_is_told_of_and_not_believed(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "slide.json"
    path.write_bytes(damage)
    with pytest.raises(ServiceError, match="interrupted"):
        Breadcrumb(path).read()


def test_file_and_folder_are_flushed_before_the_slide_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    Breadcrumb(tmp_path / "slide.json").write(SLIDE)
    assert flushed == [False, True]


def test_a_note_that_cannot_be_removed_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "slide.json").mkdir()
    with pytest.raises(ServiceError, match="cannot be read or written"):
        Breadcrumb(tmp_path / "slide.json").clear()
