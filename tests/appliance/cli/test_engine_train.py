"""`cytoscan engine train --label-free`: what it refuses and how it says so, and a package from a site's own fields."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from appliance.cli.engine_train import train
from appliance.cli.exits import Exit
from engines.errors import EngineError
from engines.package import load_package
from tests.appliance.cli.conftest import Ran
from tests.engines.training.painted_cells import write_fields

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed (extra 'train')")


def _refusal(*arguments: str) -> EngineError:
    """The error with which the command refuses."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(train)
    error = CliRunner().invoke(app, list(arguments)).exception
    assert isinstance(error, EngineError), error
    assert error.remedy
    return error


def test_without_pytorch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("engines.training.label_free.needs.find_spec", lambda _: None)
    error = _refusal("--label-free", str(tmp_path), "--out", str(tmp_path / "p"))
    assert "torch" in error.what
    assert "cytoscan-appliance[train]" in error.remedy


@needs_torch
def test_missing_empty_and_unreadable_folders_are_named(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "p"))
    assert "no folder" in _refusal("--label-free", str(tmp_path / "absent"), *out).what
    (tmp_path / "empty").mkdir()
    assert "no picture" in _refusal("--label-free", str(tmp_path / "empty"), *out).what
    write_fields(tmp_path / "few", slides=1, fields=2)
    assert "2 pictures of 1 slides" in _refusal("--label-free", str(tmp_path / "few"), *out).what
    (tmp_path / "broken").mkdir()
    for slide in range(3):
        for number in range(4):
            (tmp_path / "broken" / f"S{slide}_{number}.png").write_bytes(b"no picture")
    assert "can be used" in _refusal("--label-free", str(tmp_path / "broken"), *out).what
    assert not (tmp_path / "p").exists()


@needs_torch
def test_nothing_is_overwritten(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "thing").write_text("x")
    assert "not empty" in _refusal("--label-free", str(tmp_path), "--out", str(full)).what
    assert "is a file" in _refusal("--label-free", str(tmp_path), "--out", str(full / "thing")).what


@needs_torch
def test_a_site_trains_its_own(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    write_fields(tmp_path / "fields", slides=4, fields=6)
    arguments = ["engine", "train", "--label-free", "fields", "--out", "My Site.v1", "--steps", "120", "--tiles", "32"]
    ran = cytoscan(*arguments)
    assert ran.code == 0, ran.out + ran.err
    assert "24 fields of 4 slides" in ran.out
    assert "Only 4 slides" in ran.err
    assert load_package(tmp_path / "My Site.v1").manifest.name == "my-site-v1"
    again = cytoscan(*arguments)
    assert again.code == Exit.ENGINE
    assert "not empty" in again.err
