"""What a Jetson's file system says of it, and which device nodes its user may use."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.device_report.device import device_section
from appliance.device_report.nodes import Node, allowed_nodes, look_at, nodes_check
from appliance.device_report.section import Section
from engines.building.resources import Resources
from engines.cuda.probe import Gpu
from engines.fingerprint import fingerprint
from engines.package import load_package, shipped
from tests.conftest import ROOT

ORIN = Gpu("Orin", "8.7", "12.6")
UNITS = ROOT / "systemd"
FREE = Resources(memory_bytes=5_000_000_000, disk_bytes=40_000_000_000)


def jetson(root: Path, revision: str = "36 (release), REVISION: 4.7") -> Path:
    """A file system as JetPack 6.2 has it, as far as it is read."""
    files = {
        "etc/nv_tegra_release": f"# R{revision}, GCID: 1, BOARD: generic\n",
        "proc/device-tree/model": "NVIDIA Jetson Orin NX\0",
        "proc/devices": "Character devices:\n  1 mem\n188 ttyUSB\n\nBlock devices:\n  8 sd\n",
        "var/lib/nvpmodel/status": "pmode:0002",
        "etc/nvpmodel.conf": "< POWER_MODEL ID=2 NAME=MAXN_SUPER >",
        "usr/local/cuda/version.json": '{"cuda_cudart": {"version": "12.6.68"}}',
        "dev/nvmap": "",
        "dev/dri/renderD128": "",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def section(root: Path, units: Path | None = UNITS) -> Section:
    told = fingerprint(
        load_package(shipped("serous")), signing_key_ids=(), gpu=ORIN, build=None, acceptance_report=None, root=root
    )
    return device_section(told, FREE, "0.1.0", root=root, units=units)


def test_a_jetson_with_a_known_jetpack_and_open_nodes_passes(tmp_path: Path) -> None:
    found = section(jetson(tmp_path))
    assert found.passed, found.checks
    facts = {fact.key: fact.value for fact in found.facts}
    assert (
        facts.items()
        >= {
            "model": "NVIDIA Jetson Orin NX",
            "l4t": "36.4.7",
            "jetpack": "6.2",
            "power_mode": "2 MAXN_SUPER",
            "gpu": "Orin, SM 8.7",
            "cuda_runtime": "12.6.68",
            "disk_free_mb": 40_000,
            "memory_free_mb": 5_000,
        }.items()
    )
    there = {row[0] for row in found.tables[0].rows if row[1]}
    assert there == {"/dev/nvmap", "/dev/dri/renderD128"}


def test_an_unknown_jetpack_is_not_passed(tmp_path: Path) -> None:
    found = section(jetson(tmp_path, "35 (release), REVISION: 4.1"))
    assert [check.passed for check in found.checks] == [False, True, True]
    assert "35.4.1" in found.checks[0].sentence


def test_what_is_no_jetson_is_not_passed_and_guesses_nothing(tmp_path: Path) -> None:
    found = section(tmp_path)
    assert [check.passed for check in found.checks] == [False, False, False]
    facts = {fact.key: fact.value for fact in found.facts}
    assert facts["model"] is facts["jetpack"] is facts["power_mode"] is None


def test_without_the_scanners_unit_nobody_knows_which_nodes_it_may_use(tmp_path: Path) -> None:
    found = section(jetson(tmp_path), units=None)
    assert not found.passed
    assert "is not installed" in found.checks[-1].sentence


def test_the_installed_unit_counts_before_that_of_the_checkout(tmp_path: Path) -> None:
    installed = jetson(tmp_path) / "etc/systemd/system/cytoscan-scanner.service"
    installed.parent.mkdir(parents=True)
    installed.write_text("[Service]\nDeviceAllow=/dev/nvmap rw\n")
    assert section(tmp_path).tables[0].rows == (("/dev/nvmap", 1, 1),)


def test_nodes_of_a_group_are_found_by_their_drivers_number() -> None:
    if not stat.S_ISCHR(Path("/dev/null").stat().st_mode):
        pytest.skip("/dev/null is no device here")
    found = look_at(
        allowed_nodes("DeviceAllow=char-mem rw\nDeviceAllow=char-me* r\nDeviceAllow=char-xyz rw\n"), Path("/")
    )
    memory, same, none = found
    assert memory.there == same.there >= 3  # null, zero, random, ...
    assert memory.open >= 3
    assert none == Node("char-xyz", 0, 0)


def test_a_node_that_this_user_may_not_use_is_named() -> None:
    nvmap, bus = Node("/dev/nvmap", 1, 0), Node("char-usb_device", 9, 1)
    check = nodes_check([nvmap, bus])
    assert not check.passed
    assert "/dev/nvmap:" in check.sentence
    assert "usb" not in check.sentence
    assert nodes_check([replace(nvmap, open=1), bus]).passed


def test_nodes_for_debugging_may_be_shut() -> None:
    shut = [Node(name, 1, 0) for name in ("/dev/nvhost-prof-gpu", "/dev/nvgpu/igpu0/dbg")]
    assert nodes_check([*shut, Node("/dev/nvmap", 1, 1)]).passed
