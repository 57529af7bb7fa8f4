"""The house rules that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.exits import Exit

ROOT = Path(__file__).resolve().parent.parent
TOP = ["appliance", "drivers", "engines", "systemd", "tests", "tools"]
CODE = [p for top in ("appliance", "drivers", "engines") for p in sorted((ROOT / top).rglob("*.py"))]


def test_imports_run_downward_only() -> None:
    """The layers of pyproject.toml hold (import-linter)."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_forbidden_import_is_caught(tmp_path: Path) -> None:
    """The contract itself can fail: a driver that imports the application breaks it."""
    for package in ("appliance", "drivers", "engines"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    for module in ("cli", "report", "hub", "uplink", "scan", "journal", "messages", "verdict", "assays", "settings"):
        (tmp_path / "appliance" / f"{module}.py").write_text("")
    for module in ("service", "update", "device_report"):
        (tmp_path / "appliance" / f"{module}.py").write_text("")
    for module in ("yaml_model", "yaml_file", "key_hints", "records", "errors"):
        (tmp_path / "appliance" / f"{module}.py").write_text("")
    (tmp_path / "drivers" / "stage.py").write_text("import appliance.records\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint), "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "drivers.stage" in done.stdout


@pytest.mark.parametrize("folder", TOP)
def test_each_top_folder_says_what_lives_there(folder: str) -> None:
    """One screen: a README.md of at most 60 lines."""
    readme = ROOT / folder / "README.md"
    assert readme.is_file(), f"{folder} has no README.md"
    assert len(readme.read_text().splitlines()) <= 60


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    """A file has one reason to change; beyond 400 lines it has more."""
    assert len(path.read_text().splitlines()) <= 400


def test_constraints_hold_no_addresses() -> None:
    """Pins are names and versions only, one file per supported Python."""
    files = sorted((ROOT / "constraints").glob("*.txt"))
    assert [f.name for f in files] == ["py310.txt", "py311.txt", "py312.txt"]
    for file in files:
        for line in file.read_text().splitlines():
            assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._]+", line), f"{file.name}: {line}"


def test_exit_codes_are_documented() -> None:
    """Every exit code of the command stands in the README."""
    readme = (ROOT / "README.md").read_text()
    for code in Exit:
        assert f"| {int(code)} |" in readme, f"exit code {int(code)} ({code.name}) is not in README.md"
