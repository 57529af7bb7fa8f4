"""Type stubs of the real TensorRT Python API, one folder for each supported version.

The binding wheels bring no stubs, and want NVIDIA's libraries. But they ask those for a few C functions only, so that
with libraries in which these return nothing every version can be imported on any x86-64 machine; what the modules then
say of themselves becomes a stub. Source: edge reference 2.2. Nothing of NVIDIA's is kept in the repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = {
    "10.3.0": "tensorrt-cu12-bindings==10.3.0",
    "10.16.1.11": "tensorrt-cu13-bindings==10.16.1.11",
    "11.4.0.106": "tensorrt-cu13-bindings==11.4.0.106",
}
"""JetPack 6.2; JetPack 7.2 (whose own build is 10.16.2.10, not published as a wheel); JetPack 7.2.2."""
_FUNCTIONS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getNvOnnxParserVersion",
    "getPluginRegistry", "getBuilderPluginRegistry", "initLibNvInferPlugins",
)  # fmt: skip
_LIBRARY = re.compile(rb"libnv[a-z_]+\.so\.\d+")
_MODULE = "tensorrt_bindings.tensorrt"
_MENDED = (
    (r"(def add_scale_nd\(.*channel_axis: [\w.]+)\)", r"\1 = ...)"),  # a default before a parameter without
    (r"\bin: ", "in_: "),  # a keyword
    (r": buffer\b", ": typing_extensions.Buffer"),  # no such name
    (r"(?m)^bool: DataType$", "bool_: DataType"),  # hides the type of all flags
    (r"(?m)^class IHostMemory:$", "class IHostMemory:\n    def __buffer__(self, flags: int, /) -> memoryview: ..."),
    (r"def get_error\(self, \*args, \*\*kwargs\): \.\.\.", "def get_error(self, index: int) -> ParserError: ..."),
)
"""What the generator gets wrong, or the module does not say."""


def make(version: str, into: Path) -> Path:
    """Folder for MYPYPATH with the stub of one version; made unless it is there."""
    done = into / version
    if done.is_dir():
        return done
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as temporary:
        folder = Path(temporary)
        module = _unpacked(WHEELS[version], folder)
        _stand_ins(module, folder)
        stub = folder / "made" / "tensorrt" / "__init__.pyi"
        stub.parent.mkdir(parents=True)
        stub.write_text(_mended(_generated(folder)), encoding="utf-8")
        (folder / "made").rename(done)
    return done


def _unpacked(wheel: str, folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(folder), wheel], check=True)
    (found,) = folder.glob("*.whl")
    with zipfile.ZipFile(found) as archive:
        archive.extractall(folder)
    return folder / "tensorrt_bindings" / "tensorrt.so"


def _stand_ins(module: Path, folder: Path) -> None:
    """A library of each name that the module wants."""
    source = folder / "stand_in.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _FUNCTIONS), encoding="ascii")
    for name in sorted({found.decode() for found in _LIBRARY.findall(module.read_bytes())}):
        build = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)]
        subprocess.run(build, check=True)


def _generated(folder: Path) -> str:
    stubgen = Path(sys.executable).with_name("stubgen")
    told = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder)}
    order = [str(stubgen), "--quiet", "--inspect-mode", "--module", _MODULE, "--output", str(folder / "stubs")]
    subprocess.run(order, check=True, env=told)
    return (folder / "stubs" / "tensorrt_bindings" / "tensorrt.pyi").read_text(encoding="utf-8")


def _mended(text: str) -> str:
    for wrong, right in _MENDED:
        text = re.sub(wrong, right, text)
    return f"import typing_extensions\n{text}\n__version__: str\n"
