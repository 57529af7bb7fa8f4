"""What commands print arrives as it was meant: names with brackets whole, lines in one piece."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table

import appliance.cli
from appliance.cli.plain_console import plain_console
from tests.appliance.cli.conftest import Ran

ODD = "case [A] :smile: 12"


def _printed(*things: object) -> str:
    console = plain_console()
    console.file = io.StringIO()
    console.print(*things)
    return console.file.getvalue()


@pytest.mark.parametrize("name", [ODD, "[bold]", "[/]", "/media/usb/[2026]/report.html"])
def test_names_are_printed_as_they_are(name: str) -> None:
    assert _printed(f"slide {name}: NFM") == f"slide {name}: NFM\n"
    table = Table("case")
    table.add_row(name)
    assert name in _printed(table)


def test_a_line_in_a_log_is_one_line() -> None:
    line = "Report: /" + "/".join(["a long folder"] * 30)
    assert _printed(line) == line + "\n"


def test_a_progress_bar_keeps_to_the_terminals_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    console = plain_console()
    console.file = io.StringIO()
    with Progress(console=console, auto_refresh=False) as progress:
        progress.add_task("a step with a name longer than the terminal is wide, " * 3, total=10)
        progress.refresh()
    drawn = re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()))
    assert any("a step with" in line for line in drawn)
    assert max(map(len, drawn)) <= 60


def test_a_file_with_brackets_in_its_name_is_named_in_full(cytoscan: Callable[..., Ran]) -> None:
    ran = cytoscan("scan", "--assay", "serous", "--accession", "A", "--settings", "site [2].yaml")
    assert ran.code != 0
    assert "site [2].yaml" in ran.err


def test_no_command_makes_a_console_of_its_own() -> None:
    for path in sorted(Path(appliance.cli.__file__).parent.glob("*.py")):
        if path.name == "plain_console.py":
            continue
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        made = [func for func in calls if isinstance(func, ast.Name) and func.id == "Console"]
        assert not made, f"{path.name}: use plain_console(), or names in brackets vanish"
