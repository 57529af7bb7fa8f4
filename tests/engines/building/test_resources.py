"""What a build needs, and what this machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.building.errors import NotEnough
from engines.building.resources import Resources, available, needed, require
from engines.package import EnginePackage

MIB = 1 << 20


def test_memory_and_disk_are_those_of_this_machine_though_the_folder_is_not_there_yet(tmp_path: Path) -> None:
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    free = available(tmp_path / "slot" / "engine")
    assert 0 < free.memory_bytes <= total
    assert free.disk_bytes > 0


def test_memory_is_what_can_be_had_and_not_what_lies_idle(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  7990 kB\nMemFree:  100 kB\nMemAvailable:    4711 kB\n")
    assert available(tmp_path, meminfo).memory_bytes == 4711 * 1024
    meminfo.write_text("MemTotal:  7990 kB\nMemFree:  100 kB\n")
    with pytest.raises(NotEnough, match="meminfo does not say"):
        available(tmp_path, meminfo)


def test_a_larger_workspace_needs_more_memory_and_no_more_disk(package: EnginePackage) -> None:
    small, large = needed(package, 256), needed(package, 1024)
    assert large.memory_bytes - small.memory_bytes == 768 * MIB
    assert large.disk_bytes == small.disk_bytes


def test_just_enough_is_enough() -> None:
    require(Resources(MIB, MIB), Resources(MIB, MIB))
    with pytest.raises(NotEnough, match=r"needs 1 MiB of memory and 0 MiB are free\. Build while no slide is read"):
        require(Resources(MIB, MIB), Resources(MIB - 1, MIB))
