"""Our code and our fake against what TensorRT 10.3, 10.16 and 11.4 really have."""

from __future__ import annotations

import ast
import enum
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from . import fake_tensorrt
from .stubs import WHEELS, make

ROOT = Path(__file__).resolve().parents[3]
STUBS = Path(sys.prefix) / "tensorrt-stubs"


@pytest.fixture(scope="module", params=WHEELS)
def stub(request: pytest.FixtureRequest) -> Path:
    """Folder with the stub of one version; made where `make check` has not."""
    return make(request.param, STUBS)


def names(stub: Path) -> dict[str, dict[str, list[list[str]] | None]]:
    """Class → member → parameter names of each overload (None: no method)."""
    found: dict[str, dict[str, list[list[str]] | None]] = {}
    for node in ast.parse((stub / "tensorrt" / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ClassDef):
            members: dict[str, list[list[str]] | None] = {}
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and _is_property(part):
                    members[part.name] = None
                elif isinstance(part, ast.FunctionDef):
                    members[part.name] = [*(members.get(part.name) or []), _parameters(part)]
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    members[part.target.id] = None
                elif isinstance(part, ast.ClassDef):
                    members[part.name] = None
            found[node.name] = members
    return found


def _is_property(part: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "property" for one in part.decorator_list)


def _parameters(part: ast.FunctionDef) -> list[str]:
    return [one.arg for one in part.args.args if one.arg != "self"]


FAKES = {
    name: thing
    for name, thing in vars(fake_tensorrt).items()
    if inspect.isclass(thing) and thing.__module__ == fake_tensorrt.__name__ and not name.startswith("_")
}


def test_the_fake_has_only_what_the_real_one_has(stub: Path) -> None:
    real = names(stub)
    assert FAKES.keys() <= real.keys()
    for name, fake in FAKES.items():
        for member, thing in vars(fake).items():
            if member.startswith("_") and member not in {"__len__", "__getitem__"}:
                continue
            assert member in real[name], f"{name}.{member}"
            if inspect.isfunction(thing):
                ours = [one for one in inspect.signature(thing).parameters if one != "self"]
                theirs = real[name][member]
                assert theirs is not None, f"{name}.{member} is no method"
                assert any(one[: len(ours)] == ours for one in theirs), f"{name}.{member}: {ours}, not {theirs}"


def test_every_name_of_an_enumeration_is_real(stub: Path) -> None:
    real = names(stub)
    for name, fake in FAKES.items():
        if issubclass(fake, enum.Enum):
            assert {member.name for member in fake} <= real[name].keys()


def test_names_that_came_or_went_between_versions_are_seen() -> None:
    """The comparison itself can fail."""
    old, new = (names(make(version, STUBS)) for version in ("10.3.0", "11.4.0.106"))
    assert "INT8" in old["BuilderFlag"]
    assert "INT8" not in new["BuilderFlag"]
    assert "execute_async_v2" not in old["IExecutionContext"]


def checked(stub: Path, *what: str) -> subprocess.CompletedProcess[str]:
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "tests/engines/tensorrt/mypy.ini")]
    cache = ["--cache-dir", str(STUBS / "cache" / stub.name)]
    told = {"MYPYPATH": f"{stub}:{ROOT}", "PATH": "/usr/bin:/bin"}
    return subprocess.run([*mypy, *cache, *what], cwd=ROOT, env=told, capture_output=True, text=True, check=False)


def test_our_code_is_typed_against_it(stub: Path) -> None:
    done = checked(stub, "-p", "engines.tensorrt", "-p", "engines.building")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "line", ["trt.BuilderFlag.INT9", "trt.Runtime(7)", "context.execute_async_v2(0)", "context.execute_async_v3()"]
)
def test_what_it_does_not_have_is_seen(stub: Path, tmp_path: Path, line: str) -> None:
    """The check itself can fail."""
    wrong = tmp_path / "wrong.py"
    wrong.write_text(f"import tensorrt as trt\n\ndef run(context: trt.IExecutionContext) -> None:\n    {line}\n")
    done = checked(stub, str(wrong))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "wrong.py:4" in done.stdout
