"""`tools/install` without a Jetson: what it would do, and what it puts into a tree beside the system."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

INSTALL = ROOT / "tools" / "install"
ORIN = "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: Thu Sep 18 2025\n"


def install(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([INSTALL, *arguments], capture_output=True, text=True, check=False)


def files(tree: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of everything in the tree."""
    found = {}
    for path in sorted(tree.rglob("*")):
        content = bytes(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(tree))] = (path.lstat().st_mode, content)
    return found


@pytest.fixture
def programs() -> None:
    """What installing into a tree needs from this system."""
    missing = [name for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (apt-get install systemd)")
    if os.geteuid() != 0:
        pytest.skip("only root can give files to other users")


@pytest.mark.parametrize(
    ("jetpack", "python", "series", "tensorrt", "cuda"),
    [("6.2", "python3.10", "py310", "10.3", "12-6"), ("7.2", "python3.12", "py312", "10.16", "13-2")],
)
def test_a_dry_run_tells_every_step_for_its_jetpack_and_does_nothing(
    tmp_path: Path, jetpack: str, python: str, series: str, tensorrt: str, cuda: str
) -> None:
    done = install("--dry-run", "--jetpack", jetpack, "--root", tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    told = install("--dry-run", "--jetpack", jetpack)
    assert told.returncode == 0, told.stderr
    steps = [line.strip() for line in told.stdout.splitlines()]
    for said in (
        f"tensorrt-{tensorrt}.pref /etc/apt/preferences.d/cytoscan-tensorrt",
        f"{python} python3-dev g++ python3-libnvinfer",
        f"cuda-nvcc-{cuda}",
        f"{python} -m venv --system-site-packages /opt/cytoscan/venv",
        f"/constraints/{series}.txt {ROOT}[jetson]",
        "systemd-sysusers cytoscan.conf",
        "systemd-tmpfiles --create cytoscan.conf",
        "/etc/udev/rules.d/60-cytoscan.rules",
        "/etc/cytoscan/site.yaml",
        "systemctl enable cytoscan-scanner.service cytoscan-uplink.service",
        "systemctl start cytoscan-engine-build@serous-cytology.service",
    ):
        assert any(said in step for step in steps), said
    assert "NOT DONE" in done.stdout


def test_without_a_gpu_there_is_no_tensorrt_and_no_pycuda() -> None:
    told = install("--dry-run", "--no-gpu")
    assert told.returncode == 0, told.stderr
    for absent in ("libnvinfer", "cuda-", "[jetson]", "start cytoscan-engine-build@"):
        assert absent not in told.stdout
    assert "none: --no-gpu was given" in told.stdout


@pytest.mark.parametrize(
    ("release", "code", "said"),
    [
        (ORIN, 1, "JetPack 6.2: python3.10, TensorRT 10.3"),
        (ORIN.replace("R36", "R39").replace("4.7", "2.0"), 1, "JetPack 7.2: python3.12, TensorRT 10.16"),
        (ORIN.replace("R36", "R35"), 3, "L4T 35.4"),
        ("nothing that it knows\n", 3, "unknown number"),
        (None, 3, "This is no Jetson"),
    ],
)
def test_the_jetpack_is_read_from_the_system(tmp_path: Path, release: str | None, code: int, said: str) -> None:
    (tmp_path / "etc").mkdir()
    if release is not None:
        (tmp_path / "etc" / "nv_tegra_release").write_text(release)
    told = install("--dry-run", "--root", tmp_path)
    assert told.returncode == code
    assert said in told.stdout + told.stderr
    assert {path.name for path in tmp_path.rglob("*")} <= {"etc", "nv_tegra_release"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help-me"], 2), (["--root"], 2), (["--jetpack"], 2), (["--jetpack", "5.1", "--dry-run"], 3)],
)
def test_wrong_use_and_other_platforms_have_their_exit_codes(arguments: list[str], code: int) -> None:
    told = install(*arguments)
    assert told.returncode == code
    assert told.stderr.strip()


def test_a_tree_gets_every_file_and_what_was_left_is_told(programs: None, tmp_path: Path) -> None:
    done = install("--jetpack", "6.2", "--root", tmp_path)
    assert done.returncode == 1
    left = done.stderr.split("Not done:")[1]
    assert [line.split(":")[0].strip() for line in left.strip().splitlines()] == [
        "packages",
        "packages",
        "the appliance in /opt/cytoscan/venv",
        "the appliance in /opt/cytoscan/venv",
        "engine builds",
    ]
    for source, place in {
        "cytoscan-scanner.service": "systemd/system/cytoscan-scanner.service",
        "cytoscan-uplink.service": "systemd/system/cytoscan-uplink.service",
        "cytoscan-engine-build@.service": "systemd/system/cytoscan-engine-build@.service",
        "cytoscan-failure@.service": "systemd/system/cytoscan-failure@.service",
        "60-cytoscan.rules": "udev/rules.d/60-cytoscan.rules",
        "cytoscan.tmpfiles.conf": "tmpfiles.d/cytoscan.conf",
        "cytoscan.sysusers.conf": "sysusers.d/cytoscan.conf",
        "tensorrt-10.3.pref": "apt/preferences.d/cytoscan-tensorrt",
        "site.yaml": "cytoscan/site.yaml",
    }.items():
        assert (tmp_path / "etc" / place).read_bytes() == (ROOT / "systemd" / source).read_bytes()
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants"
    assert {link.name for link in wanted.iterdir()} == {"cytoscan-scanner.service", "cytoscan-uplink.service"}


def test_scanner_and_uplink_share_the_journal_and_neither_engines_nor_keys(programs: None, tmp_path: Path) -> None:
    install("--jetpack", "6.2", "--root", tmp_path)
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()}
    scanner, uplink = (int(users[f"cytoscan-{name}"][2]) for name in ("scanner", "uplink"))
    shared = int(groups["cytoscan"][2])
    assert set(groups["cytoscan"][3].split(",")) == {"cytoscan-scanner", "cytoscan-uplink"}
    for place, owner, mode in (
        ("var/lib/cytoscan", scanner, 0o2770),
        ("var/lib/cytoscan/journal.sqlite", scanner, 0o660),
        ("var/lib/cytoscan/engines", scanner, 0o700),
        ("etc/cytoscan", 0, 0o750),
        ("etc/cytoscan/site.yaml", 0, 0o640),
        ("etc/cytoscan/uplink", uplink, 0o700),
    ):
        found = (tmp_path / place).stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (owner, shared, mode), place


def test_installed_again_it_changes_nothing_and_leaves_the_settings_of_the_site(programs: None, tmp_path: Path) -> None:
    install("--jetpack", "6.2", "--root", tmp_path)
    own = tmp_path / "etc/cytoscan/site.yaml"
    own.write_text(own.read_text().replace("site: lab", "site: another-lab"))
    before = files(tmp_path)
    again = install("--jetpack", "6.2", "--root", tmp_path)
    assert f"{own} stays as it is" in again.stdout
    assert files(tmp_path) == before
    assert "site: another-lab" in own.read_text()


def test_a_step_that_fails_is_told_and_the_others_are_done(programs: None, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/udev").write_text("a file where a folder should be")
    done = install("--jetpack", "6.2", "--root", tmp_path)
    assert done.returncode == 1
    assert "devices: failed: install" in done.stderr
    assert (tmp_path / "etc/systemd/system/cytoscan-scanner.service").is_file()
