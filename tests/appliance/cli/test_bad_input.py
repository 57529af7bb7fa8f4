"""What goes wrong is said in a sentence, with a remedy and its own exit code; nothing is half-done."""

from __future__ import annotations

import os
import pty
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.cli.exits import Exit
from appliance.journal import JournalReader
from drivers.twin.launch import TwinProcess
from drivers.twin.settings import load_settings as twin_settings
from engines.package import shipped
from tests.appliance.cli.conftest import SMALL, Ran, command


def test_a_misspelt_setting_names_file_line_and_the_right_word(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("site: lab\ncamera:\n  exposure_mss: 5\n")
    ran = cytoscan("scan", "--settings", "site.yaml", "--accession", "A-1")
    assert ran.code == Exit.SETTINGS
    assert "site.yaml" in ran.err
    assert "line 3" in ran.err
    assert "exposure_ms" in ran.err


def test_an_unknown_assay_lists_the_known_ones(cytoscan: Callable[..., Ran]) -> None:
    ran = cytoscan("scan", "--assay", "seros", "--twin")
    assert ran.code == Exit.SETTINGS
    assert "Did you mean serous?" in ran.err
    assert "afb" in ran.err


def test_no_such_port(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    ran = cytoscan("scan", "--accession", "A-1", "--set", f"stage.port={tmp_path / 'nothing'}")
    assert ran.code == Exit.STAGE
    assert "nothing" in ran.err


def test_a_port_without_the_controller_is_told_from_a_cable_fault(cytoscan: Callable[..., Ran]) -> None:
    master, slave = pty.openpty()
    try:
        ran = cytoscan("scan", "--accession", "A-1", "--set", f"stage.port={os.ttyname(slave)}")
    finally:
        os.close(master)
        os.close(slave)
    assert ran.code == Exit.STAGE
    assert "answer" in ran.err.lower()


def test_no_camera(cytoscan: Callable[..., Ran]) -> None:
    for address, kind in (("missing.sock", "twin"), ("missing", "replay")):
        camera = f"camera={{kind: {kind}, address: {address}}}"
        ran = cytoscan("scan", "--twin", "--fields", "2", "--set", camera, "--set", "engines.cpu_allowed=true")
        assert ran.code == Exit.CAMERA
        assert "missing" in ran.err


def test_a_region_beyond_the_limits_is_refused_before_anything_is_scanned(cytoscan: Callable[..., Ran]) -> None:
    region = "scan.region={x_um: 79500, y_um: 13000, width_um: 4000, height_um: 4000}"
    ran = cytoscan("scan", "--twin", "--set", region)
    assert ran.code == Exit.PLAN
    assert "limits are" in ran.err


@pytest.mark.parametrize("harm", ["corrupt", "no manifest", "not the file"])
def test_a_damaged_engine_package_is_refused(cytoscan: Callable[..., Ran], tmp_path: Path, harm: str) -> None:
    package = tmp_path / "package"
    shutil.copytree(shipped("serous"), package)
    onnx = next(package.glob("*.onnx"))
    if harm == "corrupt":
        onnx.write_bytes(onnx.read_bytes()[:-1000])
    elif harm == "no manifest":
        (package / "manifest.yaml").unlink()
    else:
        onnx.write_bytes(b"not a network")
    ran = cytoscan("scan", "--twin", "--set", f"engines.serous={package}")
    assert ran.code == Exit.ENGINE
    assert str(package) in ran.err


def test_disk_full_while_recording_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    """A file size limit on the scanner stands in for a full disk: SQLite meets the same failed write."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    small = ("camera.width_px=960", "camera.height_px=604", "seed=46")
    with TwinProcess(twin_settings(None, small), tmp_path / "twin") as twin:
        area = twin.specimen
        region = (
            f"scan.region={{x_um: {area.x_um + area.width_um / 2}, y_um: {area.y_um + area.height_um / 2}, "
            f"width_um: {area.width_um}, height_um: {area.height_um}, shape: ellipse}}"
        )
        given = (f"stage.port={twin.port}", f"camera.address={twin.camera}", region, "uplink.enabled=false")
        options = [part for text in given for part in ("--set", text)]
        scan = ("scan", "--accession", "FULL-1", "--fields", "8", "--keep-fields", *options)
        done = subprocess.run(
            command(*scan), cwd=tmp_path, capture_output=True, text=True, timeout=100, preexec_fn=limit, check=False
        )
        assert done.returncode == Exit.JOURNAL, done.stdout + done.stderr
        assert "nothing is half-written" in done.stderr
        assert "free space" in done.stderr
        journal = tmp_path / "build/cytoscan/journal.sqlite"
        with JournalReader.open(journal) as reader:
            before = reader.recorded_indexes(reader.unfinished()[0].run_id)
        more = subprocess.run(command(*scan), cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
        assert more.returncode == Exit.VERDICT, more.stdout + more.stderr
        with JournalReader.open(journal) as reader:
            run = reader.runs()[0]
            assert run.resumed == 1
            assert before < reader.recorded_indexes(run.run_id) == set(range(8))


def test_without_a_broker_the_verdict_waits_in_the_outbox_and_arrives_later(
    cytoscan: Callable[..., Ran], tmp_path: Path
) -> None:
    arguments = ("scan", "--twin", "--fields", "3", "--json", "result.json", *SMALL)
    first = cytoscan(*arguments, "--seed", "47", "--set", "uplink.port=1", "--set", "uplink.host=127.0.0.1")
    assert first.code == 0, first.err
    assert first.result["receipt"] is None
    assert "stays in the outbox" in first.out
    second = cytoscan(*arguments, "--seed", "48")
    assert second.code == 0, second.err
    listed = cytoscan("hub", "--list", "--store", "build/cytoscan/hub.sqlite")
    assert "TWIN-serous-47" in listed.out
    assert "TWIN-serous-48" in listed.out
