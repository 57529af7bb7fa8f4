"""The units: as closed as they can be, understood by systemd to the last word, and as their page says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from appliance.cli.app import app_for
from appliance.settings import load_settings
from engines.package import load_package, shipped_as
from tests.conftest import ROOT

FOLDER = ROOT / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
MOST_EXPOSED = 20
"""In tenths: 2.0."""
NEWER_THAN_249 = {
    "ConditionCredential",
    "ConditionMemoryPressure",
    "DelegateSubgroup",
    "ExitType",
    "ExtensionDirectories",
    "FileDescriptorStorePreserve",
    "ImportCredential",
    "LoadCredentialEncrypted",
    "LogFilterPatterns",
    "MemoryKSM",
    "MemoryZSwapMax",
    "OpenFile",
    "PrivatePIDs",
    "ReloadSignal",
    "RestartMaxDelaySec",
    "RestartMode",
    "RestartSteps",
    "RestrictFileSystems",
    "RestrictNetworkInterfaces",
    "RootEphemeral",
    "SetCredentialEncrypted",
    "StartupAllowedCPUs",
    "StartupAllowedMemoryNodes",
    "SurviveFinalKillSignal",
}


@pytest.fixture(scope="session")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if int(re.match(r"\d+", version)[0]) < 250:  # type: ignore[index]
        pytest.skip(f"systemd-analyze {version} cannot look at files: that came with 250")
    return found


def lines(unit: Path) -> Iterator[tuple[str, str]]:
    """Key and value of each line that is a setting."""
    for line in unit.read_text().splitlines():
        if match := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            yield match[1], match[2]


def devices(unit: str) -> list[str]:
    return [value.removesuffix(" rw") for key, value in lines(FOLDER / unit) if key == "DeviceAllow"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_unit_is_more_exposed_than_two(analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def verify(analyze: str, folder: Path, unit: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=yes", str(folder / unit)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The units with a program that is there in the place of the installed one."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/cytoscan/venv/bin/cytoscan", shutil.which("true") or "/bin/true")
        (tmp_path / unit.name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_word(analyze: str, here: Path, unit: Path) -> None:
    done = verify(analyze, here, unit.name)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_misspelt_setting_is_found(analyze: str, here: Path) -> None:
    unit = here / "cytoscan-scanner.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchDogSec="))
    done = verify(analyze, here, unit.name)
    assert done.returncode != 0
    assert "WatchDogSec" in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_starts_on_a_failure_is_there(unit: Path) -> None:
    """systemd does not say when it is not."""
    for key, value in lines(unit):
        if key == "OnFailure":
            assert (FOLDER / re.sub(r"@.*\.", "@.", value)).is_file()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_nothing_is_newer_than_ubuntu_22_04(unit: Path) -> None:
    assert [key for key, _ in lines(unit) if key in NEWER_THAN_249] == []


def test_the_page_lists_the_devices_that_the_scanner_may_use() -> None:
    page = (FOLDER / "README.md").read_text()
    told: list[str] = []
    for row in re.findall(r"^\| (`(?:char|/dev).*?) \|", page, re.MULTILINE):
        first, *more = re.findall(r"`(.*?)`", row)
        told += [first + name for name in more] if " with " in row else [first, *more]
    assert sorted(told) == sorted(devices("cytoscan-scanner.service"))


def test_an_engine_build_may_use_all_but_the_stage() -> None:
    stage = {"char-ttyUSB", "char-ttyACM"}
    others = [device for device in devices("cytoscan-scanner.service") if device not in stage]
    assert devices("cytoscan-engine-build@.service") == others


def test_the_scanner_has_no_network_and_the_uplink_no_devices() -> None:
    scanner = dict(lines(FOLDER / "cytoscan-scanner.service"))
    assert (scanner["PrivateNetwork"], scanner["RestrictAddressFamilies"]) == ("yes", "AF_UNIX AF_NETLINK")
    assert scanner["DevicePolicy"] == "closed"
    uplink = dict(lines(FOLDER / "cytoscan-uplink.service"))
    assert (uplink["PrivateDevices"], uplink["DevicePolicy"]) == ("yes", "closed")
    assert "DeviceAllow" not in uplink


@pytest.mark.parametrize("name", ["scanner", "uplink", "engine-build@"])
def test_a_unit_calls_a_command_that_there_is_with_options_that_it_has(name: str) -> None:
    program, *words = shlex.split(dict(lines(FOLDER / f"cytoscan-{name}.service"))["ExecStart"])
    assert program == "/opt/cytoscan/venv/bin/cytoscan"
    command = typer.main.get_command(app_for(words))
    while isinstance(command, typer.core.TyperGroup):
        command = command.commands[words.pop(0)]
    parsed = command.make_context(name, words)  # raises where an option is not known
    assert parsed.params["settings_file"] == Path("/etc/cytoscan/site.yaml")


def test_an_installation_that_is_repeated_builds_no_engine_that_fits() -> None:
    assert "--if-needed" in dict(lines(FOLDER / "cytoscan-engine-build@.service"))["ExecStart"].split()


def test_engines_that_are_built_at_installation_are_shipped() -> None:
    (loop,) = re.findall(r"for engine in (.*); do", (ROOT / "tools" / "install").read_text())
    for name in loop.split():
        assert load_package(shipped_as(name)).manifest.name == name


def test_the_first_settings_of_a_site_are_valid_and_write_where_the_units_may() -> None:
    settings = load_settings(FOLDER / "site.yaml")
    writable = dict(lines(FOLDER / "cytoscan-scanner.service"))["ReadWritePaths"]
    assert settings.journal.path.parent == Path(writable)
    assert settings.report.directory.is_relative_to(writable)
    assert settings.engines.slots.is_relative_to(writable)


def test_udev_gives_the_stage_the_name_that_the_settings_expect() -> None:
    rules = (FOLDER / "60-cytoscan.rules").read_text()
    port = Path(load_settings().stage.port)
    assert port.parent == Path("/dev")
    assert f'SYMLINK+="{port.name}"' in rules


def test_udev_rules_are_whole_lines_of_matches_and_assignments() -> None:
    pair = r'[A-Z_]+(\{[A-Za-z_]+\})?(==|!=|=|\+=)"[^"]*"'
    for line in (FOLDER / "60-cytoscan.rules").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(rf"{pair}(, {pair})*", line), line
