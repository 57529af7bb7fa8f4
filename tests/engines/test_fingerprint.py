"""What an engine was made of and accepted on: read from the machine, null where it says nothing, compared."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from engines.cuda.probe import Gpu
from engines.fingerprint import Build, Fingerprint, differs, fingerprint
from engines.package import EnginePackage, load_package, shipped

# As Jetsons have them: JetPack 6.2 on an Orin Nano.
FILES = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64, "
    "DATE: Thu Sep 18 22:54:44 UTC 2025\n# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "var/lib/nvpmodel/status": "pmode:0002",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    "usr/local/cuda/version.json": '{"cuda" : {"name" : "CUDA SDK", "version" : "12.6.11"},\n'
    '"cuda_cudart" : {"name" : "CUDA Runtime (cudart)", "version" : "12.6.68"}}',
}
ORIN = Gpu("Orin", "8.7", "12.6")
BUILD = Build(
    tensorrt="10.3.0",
    options={"height_px": 1208, "width_px": 1928, "workspace_mib": 1024, "network": "strongly typed"},
    timing_cache_sha256=hashlib.sha256(b"cache").hexdigest(),
    warnings=("warning: a layer stays in float",),
)


@pytest.fixture(scope="module")
def package() -> EnginePackage:
    return load_package(shipped("serous"))


@pytest.fixture
def jetson(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def taken(package: EnginePackage, root: Path, *, gpu: Gpu | None = ORIN, build: Build | None = BUILD) -> Fingerprint:
    return fingerprint(package, signing_key_ids=["ab12"], gpu=gpu, build=build, acceptance_report=b"{}", root=root)


def test_a_jetson_is_told_in_full(package: EnginePackage, jetson: Path) -> None:
    told = json.loads(taken(package, jetson).to_json())
    assert told == {
        "schema": 1,
        "package": package.manifest.name,
        "version": package.manifest.version,
        "onnx_sha256": package.manifest.onnx.sha256,
        "signing_key_ids": ["ab12"],
        "tensorrt": "10.3.0",
        "gpu": "Orin",
        "compute_capability": "8.7",
        "cuda_driver": "12.6",
        "cuda_runtime": "12.6.68",
        "l4t": "36.4.7",
        "device_model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        "power_mode": "2 MAXN_SUPER",
        "builder_options": dict(BUILD.options),
        "timing_cache_sha256": hashlib.sha256(b"cache").hexdigest(),
        "build_warnings": ["warning: a layer stays in float"],
        "acceptance_sha256": hashlib.sha256(b"{}").hexdigest(),
    }


def test_it_is_read_back_as_it_was_stored(package: EnginePackage, jetson: Path) -> None:
    made = taken(package, jetson)
    assert Fingerprint.model_validate_json(made.to_json()) == made


def test_what_a_machine_does_not_say_is_null(package: EnginePackage, tmp_path: Path) -> None:
    made = fingerprint(package, signing_key_ids=[], gpu=None, build=None, acceptance_report=None, root=tmp_path)
    known = {name: value for name, value in made.model_dump().items() if value not in (None, (), {})}
    assert known.keys() == {"schema_version", "package", "version", "onnx_sha256"}


@pytest.mark.parametrize("text", ["", "R36", "# R36 (release)", "\0"])
def test_nothing_is_guessed_of_a_file_that_says_something_else(package: EnginePackage, jetson: Path, text: str) -> None:
    for name in FILES:
        if name != "etc/nvpmodel.conf":
            (jetson / name).write_text(text)
    made = taken(package, jetson)
    assert (made.l4t, made.power_mode, made.cuda_runtime) == (None, None, None)


@pytest.mark.parametrize("text", ["[1]", '{"cuda_cudart": null}', '{"cuda_cudart": {}}', "3"])
def test_a_toolkit_that_does_not_say_its_runtime_is_null(package: EnginePackage, jetson: Path, text: str) -> None:
    (jetson / "usr/local/cuda/version.json").write_text(text)
    assert taken(package, jetson).cuda_runtime is None


def test_a_power_mode_without_a_name_is_a_number(package: EnginePackage, jetson: Path) -> None:
    (jetson / "var/lib/nvpmodel/status").write_text("pmode:0010\n")
    assert taken(package, jetson).power_mode == "10"
    (jetson / "var/lib/nvpmodel/status").write_text("pmode:0000\n")
    assert taken(package, jetson).power_mode == "0 15W"


def test_the_same_machine_can_use_its_engine(package: EnginePackage, jetson: Path) -> None:
    assert differs(taken(package, jetson), taken(package, jetson)) == []


CHANGES = {
    "onnx_sha256": ("The network", "0" * 64),
    "tensorrt": ("TensorRT", "10.16.2"),
    "gpu": ("The GPU", "Thor"),
    "compute_capability": ("The GPU's compute capability", "11.0"),
    "cuda_driver": ("CUDA of the driver", "13.2"),
    "cuda_runtime": ("The CUDA runtime", None),
    "l4t": ("Jetson Linux (L4T)", "39.2"),
    "device_model": ("The device", "NVIDIA Jetson Orin NX"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_makes_an_engine_unusable_is_told(package: EnginePackage, jetson: Path, name: str) -> None:
    words, value = CHANGES[name]
    old = taken(package, jetson)
    said = differs(old, old.model_copy(update={name: value}))
    assert said == [f"{words} was {getattr(old, name)} and is {value or 'not known'}."]


def test_other_builder_options_are_told_one_by_one(package: EnginePackage, jetson: Path) -> None:
    other = Build("10.3.0", {"height_px": 1200, "width_px": 1928, "tactics": "all"}, b"", ())
    old = taken(package, jetson).model_copy(update={"builder_options": {"height_px": 1208, "width_px": 1928}})
    assert differs(old, taken(package, jetson, build=other)) == [
        "The builder's height_px was 1208 and is 1200.",
        "The builder's tactics was not known and is all.",
    ]


def test_power_mode_warnings_keys_and_reports_leave_an_engine_usable(package: EnginePackage, jetson: Path) -> None:
    old = taken(package, jetson)
    new = old.model_copy(
        update={
            "power_mode": "0 15W",
            "build_warnings": (),
            "signing_key_ids": ("cd34",),
            "timing_cache_sha256": None,
            "acceptance_sha256": None,
            "version": "9.9.9",
        }
    )
    assert differs(old, new) == []
