from __future__ import annotations

from pathlib import Path

import cv2
import pytest
import typer
from typer.testing import CliRunner

from drivers.twin.slide.__main__ import main


@pytest.mark.parametrize("content", ["serous", "sputum", "empty", "ink"])
def test_bench_prints_times_and_writes_a_picture(content: str, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    png = tmp_path / "field.png"
    size = ["--width-px", "300", "--height-px", "200", "--um-per-px", "0.5"]
    result = CliRunner().invoke(app, ["--content", content, "--png", str(png), *size])
    assert result.exit_code == 0, result.output
    assert result.output.count(" ms") >= 3
    assert "layers" in result.output
    assert cv2.imread(str(png)).shape == (200, 300, 3)
