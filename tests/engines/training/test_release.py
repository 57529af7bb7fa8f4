"""What the release command takes over from files instead of measuring."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip(
    "matplotlib", reason="matplotlib is not installed (extra 'train'); the release command is not tested"
)

from engines.errors import EngineError
from engines.package import load_package, shipped
from engines.training.assess.__main__ import main
from engines.training.assess.measured import write_measured
from engines.training.assess.release import Inputs, learned_before, release, take_over


def test_results_of_benches_are_taken_over_without_measuring_again(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(shipped("afb"), folder)
    speed = {"command": "a bench", "machine": "this one", "rows": {"ms of a field": 5.0}}
    take_over(folder, {"speed": speed})
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| ms of a field | 5.0 |" in card
    before = json.loads((shipped("afb") / "measured.json").read_text(encoding="utf-8"))
    assert json.loads((folder / "measured.json").read_text(encoding="utf-8")) == {**before, "speed": speed}


def test_figures_of_another_network_are_not_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(shipped("afb"), folder)
    shutil.copy(shipped("serous") / "measured.json", folder / "measured.json")
    with pytest.raises(EngineError, match="another network"):
        take_over(folder, {})


def test_a_label_free_engine_keeps_what_is_known_of_its_learning_for_the_same_network_alone() -> None:
    package = load_package(shipped("serous").parent / "label-free-serous")
    assert set(learned_before(package)) == {"learned", "twin_slides", "methods"}
    sha256 = package.manifest.onnx.model_copy(update={"sha256": "0" * 64})
    other = replace(package, manifest=package.manifest.model_copy(update={"onnx": sha256}))
    assert learned_before(other) == {}


def test_speed_is_taken_over_into_the_card_of_an_engine_that_was_never_measured_for_release(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(shipped("serous").parent / "label-free-serous", folder)
    package = load_package(folder)
    write_measured(package, {"command": "a training", "learned": learned_before(package)["learned"]})
    assert take_over(folder, {"speed": {"command": "a bench", "machine": "this one", "rows": {"ms": 5.0}}}) == []
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "## How it learned" in card
    assert "## Speed" in card
    assert "## INT8 against FP32" not in card


def test_a_network_of_another_make_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(shipped("afb"), folder)
    manifest = (folder / "manifest.yaml").read_text(encoding="utf-8")
    (folder / "manifest.yaml").write_text(manifest.replace("name: afb-zn\n", "name: theirs\n", 1), encoding="utf-8")
    with pytest.raises(EngineError, match=r"theirs .*is no network of this repository"):
        release(Inputs(folder, None, tmp_path, 2, None, {}, "a command"))


def test_what_nothing_would_read_is_refused(tmp_path: Path) -> None:
    ran = CliRunner().invoke(_command(), [str(shipped("afb")), "--slides", "0", "--crops", str(tmp_path)])
    assert ran.exit_code == 2
    assert "--crops" in ran.output


def _command() -> typer.Typer:
    command = typer.Typer()
    command.command()(main)
    return command
