"""What a build leaves: whole or not there, and known again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engines.building.errors import BadBuild
from engines.building.record import PLAN, RECORD, BuildRecord, load_build, require_empty, write_build
from engines.cuda.probe import Gpu
from engines.errors import NotWritten
from engines.tensorrt.inspection import LayerSummary

from ..slots.dying import dies_at
from .conftest import FRAME


def record_of(plan: bytes) -> BuildRecord:
    return BuildRecord(
        package="afb-zn",
        version="1.0.0",
        onnx_sha256="0" * 64,
        frame=FRAME,
        gpu=Gpu("Orin", "8.7", "12.6"),
        tensorrt="10.3.0",
        options={"workspace_mib": 1024},
        seconds=61.5,
        layers=LayerSummary(30, 28),
        messages=(),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        timing_cache_sha256=None,
    )


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "engine"
    write_build(folder, b"plan", record_of(b"plan"))
    return folder


def test_a_build_is_read_as_it_was_written(built: Path) -> None:
    assert load_build(built) == record_of(b"plan")
    assert str(load_build(built).layers) == "28 of 30 layers INT8"


def test_an_altered_plan_is_refused(built: Path) -> None:
    (built / PLAN).write_bytes(b"Plan")
    with pytest.raises(BadBuild, match=rf"{PLAN} has been altered.*Build the engine again"):
        load_build(built)


@pytest.mark.parametrize("name", [PLAN, RECORD])
def test_what_is_missing_is_named(built: Path, name: str) -> None:
    (built / name).unlink()
    with pytest.raises(BadBuild, match=rf"{name} cannot be read: No such file"):
        load_build(built)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("{", "", "the whole: Invalid JSON"),
        ('"schema": 1', '"schema": 2', "schema: Input should be 1"),
        ('"seconds": 61.5', '"seconds": NaN', "seconds: Input should be a finite number"),
        ('"version": "1.0.0"', '"version": 1', "version: Input should be a valid string"),
        ('"messages"', '"mesages"', "messages: Field required"),
    ],
)
def test_a_record_that_is_not_valid_is_refused_with_the_place(built: Path, before: str, after: str, words: str) -> None:
    text = (built / RECORD).read_text()
    assert before in text
    (built / RECORD).write_text(text.replace(before, after, 1))
    with pytest.raises(BadBuild, match=words):
        load_build(built)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_at_each_step_of_writing_there_is_the_whole_build_or_none_and_the_next_one_succeeds(
    tmp_path: Path,
) -> None:
    seen, step, died = [], 0, True
    while died:
        step += 1
        folder = tmp_path / str(step) / "engine"
        died = dies_at(step, lambda folder=folder: write_build(folder, b"plan", record_of(b"plan")))  # type: ignore[misc]
        seen.append(folder.exists())
        if folder.exists():
            assert load_build(folder) == record_of(b"plan")
        else:
            write_build(folder, b"plan", record_of(b"plan"))
        assert [path.name for path in folder.parent.iterdir()] == ["engine"]
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


def test_what_was_built_before_is_not_replaced(built: Path, tmp_path: Path) -> None:
    for refused in (lambda: require_empty(built), lambda: write_build(built, b"new", record_of(b"new"))):
        with pytest.raises(NotWritten, match="not empty"):
            refused()
    assert load_build(built) == record_of(b"plan")
    (tmp_path / "empty").mkdir()
    require_empty(tmp_path / "empty")
    write_build(tmp_path / "empty", b"new", record_of(b"new"))
    assert load_build(tmp_path / "empty") == record_of(b"new")
