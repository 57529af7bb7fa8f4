"""`cytoscan engine evaluate` as a person runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from appliance.cli import engine_evaluate
from appliance.cli.app import run
from appliance.cli.bench_reading import read_in_process
from appliance.cli.engine_evaluate_slides import slide_figures
from appliance.cli.exits import Exit
from tests.appliance.cli.slide_scores import SLIDE
from tests.engines.evaluate.painted import paint, save


@dataclass(frozen=True)
class Ran:
    """A finished command: exit code, what it printed, and what it wrote to result.json."""

    code: int
    out: str
    err: str
    result: dict[str, object]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: str) -> Ran:
        code = run(["engine", "evaluate", *arguments])
        said = capsys.readouterr()
        path = tmp_path / "result.json"
        return Ran(code, said.out, said.err, json.loads(path.read_text()) if path.exists() else {})

    return command


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Rods as the stain shows them, magenta on pale blue, and pale blue alone, in 100 px crops."""
    rng = np.random.default_rng(0)
    for number in range(6):
        empty = np.clip(np.array([170, 200, 225]) + rng.normal(0, 4, (100, 100, 3)), 0, 255).astype(np.uint8)
        rod = empty.copy()
        rod[44:56, 20:80] = (190, 40, 110)
        save(tmp_path / "crops" / "afb" / f"TB_{number // 2}_{number}.png", rod)
        save(tmp_path / "crops" / "non_afb" / f"nonTB_{number // 2}_{number}.png", empty)
    (tmp_path / "crops" / "afb" / "TB_9.png").write_bytes(b"torn")
    return tmp_path / "crops"


def _strict(text: str) -> dict[str, object]:
    def refuse(name: str) -> object:
        raise AssertionError(name)

    parsed: dict[str, object] = json.loads(text, parse_constant=refuse)
    return parsed


@pytest.mark.usefixtures("crops")
def test_crops_on_the_shipped_engine(evaluate: Callable[..., Ran]) -> None:
    ran = evaluate("--assay", "afb", "--crops", "crops", "--json")
    assert ran.code == Exit.VERDICT, ran.err
    figures = _strict(ran.out)
    assert (figures["n"], figures["groups"], figures["positives"]) == (12, 3, 6)
    assert figures["unreadable"] == ["afb/TB_9.png"]
    assert figures["auroc"] == 1.0
    assert str(figures["engine"]).startswith("afb-zn ")
    assert figures["um_per_px"] == pytest.approx(0.0423, abs=1e-4)
    table = evaluate("--assay", "afb", "--crops", "crops", "--magnification", "450", "result.json")
    assert table.code == Exit.VERDICT, table.err
    assert "auroc_ci" in table.out
    assert str(table.result["engine"]).startswith("afb-zn-450 ")
    assert table.result["n"] == 12


def test_fields_all_with_objects_are_strict_json(evaluate: Callable[..., Ran], tmp_path: Path) -> None:
    for number in range(2):
        save(tmp_path / "fields" / f"f{number}.png", paint(160, [(80, 80, 250)]))
    (tmp_path / "fields" / "boxes.csv").write_text("file,x,y,width,height\nf0.png,74,74,12,12\nf1.png,74,74,12,12\n")
    ran = evaluate("--assay", "serous", "--fields", "fields", "--json", "result.json")
    assert ran.code == Exit.VERDICT, ran.err
    figures = _strict(ran.out)
    assert figures == ran.result
    assert figures["auroc"] is None
    assert "with the target" in str(figures["reason"])
    assert (figures["n"], figures["objects"]) == (2, 2)
    (tmp_path / "fields" / "boxes.csv").write_text("file,x,y,width,height\nf0.png,74,74,twelve,12\n")
    wrong = evaluate("--assay", "serous", "--fields", "fields", "--json")
    assert wrong.code == Exit.ENGINE
    assert wrong.out == ""
    assert "boxes.csv, line 2: width is 'twelve'" in wrong.err


@pytest.mark.slow
def test_slides_of_the_twin(evaluate: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_evaluate, "read_slides", lambda jobs: map(read_in_process, jobs))
    ran = evaluate(
        "--assay", "afb", "--slides", "2", "--seed", "41", "--fields-per-slide", "1", "--afb-per-hpf", "20",
        "--json",
    )  # fmt: skip
    assert ran.code == Exit.VERDICT, ran.err
    figures = _strict(ran.out)
    slides = figures["slides"]
    assert isinstance(slides, list)
    assert [(slide["seed"], slide["positive"]) for slide in slides] == [(41, False), (42, True)]
    assert {slide["onnx_sha256"] for slide in slides} == {figures["onnx_sha256"]}
    assert figures["n"] == 2 - len(figures["unreadable"])  # type: ignore[arg-type]


def test_slides_that_were_not_judged_are_listed_and_not_ranked() -> None:
    rows = [
        replace(SLIDE, seed=1, positive=False, score=0.2),
        replace(SLIDE, seed=2, score=0.8),
        replace(SLIDE, seed=3, positive=False, score=0.9, category="unsatisfactory"),
        replace(SLIDE, seed=4, score=0.1),
    ]
    figures = slide_figures(rows, 0)
    assert (figures["auroc"], figures["n"], figures["groups"]) == (0.5, 3, 3)
    assert (figures["unreadable"], figures["unreadable_n"]) == (["slide 3"], 1)
    assert len(figures["slides"]) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--assay", "afb"), Exit.USAGE, "none of them was given"),
        (("--assay", "afb", "--crops", "x", "--slides", "2"), Exit.USAGE, "--crops and --slides was given"),
        (("--crops", "x"), Exit.USAGE, "serous or afb"),
        (("--assay", "afb", "--crops", "x", "--malignant", "0.1"), Exit.USAGE, "has no meaning"),
        (("--assay", "afb", "--slides", "2", "--malignant", "0.1"), Exit.USAGE, "has no meaning for afb"),
        (("--assay", "afb", "--crops", "x", "--magnification", "300"), Exit.USAGE, "read at"),
        (("--assay", "afb", "--crops", "x"), Exit.ENGINE, "There is no folder x with crops"),
        (("--assay", "afb", "--fields", "x"), Exit.ENGINE, "There is no x/boxes.csv"),
    ],
)
def test_wrong_use(evaluate: Callable[..., Ran], arguments: tuple[str, ...], code: Exit, said: str) -> None:
    ran = evaluate(*arguments, "--json")
    assert ran.code == code, ran.err
    assert said in ran.err
    assert ran.out == ""
