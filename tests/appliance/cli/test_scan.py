"""`cytoscan scan` on the twin: the whole path of one slide, and what interrupts it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import JournalError
from appliance.journal import JournalReader
from tests.appliance.cli.conftest import SMALL, Ran, command

FEW = ("--fields", "6", "--twin", "--json", "result.json", *SMALL)


def test_a_serous_slide_gives_a_verdict_a_receipt_and_a_report(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    ran = cytoscan("scan", "--assay", "serous", "--seed", "41", "--malignant", "0.05", *FEW)
    assert ran.code == 0, ran.err
    result = ran.result
    fields = result["fields"]
    assert fields["planned"] == 6
    assert fields["captured"] == fields["usable"] + fields["blank"] + fields["failed"] == 6
    assert result["verdict"]["category"] in {"ND", "NFM", "AUS", "SFM", "MAL", "unsatisfactory"}
    assert result["verdict"]["reasons"]
    assert result["receipt"] == "accepted"
    assert result["backend"]["onnx_sha256"]
    report = (tmp_path / result["report"]).read_text()
    assert result["accession"] in report
    assert "esearch use only" in report
    assert "fields/s" in ran.out


def test_findings_lie_inside_their_fields(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    ran = cytoscan("scan", "--assay", "afb", "--seed", "42", "--afb-per-hpf", "8", *FEW)
    assert ran.code == 0, ran.err
    findings = ran.result["findings"]
    assert findings, "a 2+ slide shows bacilli in six fields"
    with JournalReader.open(tmp_path / "build/cytoscan/journal.sqlite") as journal:
        run = journal.run(ran.result["run_id"])
        fields = {field.index: field for field in journal.fields(run.run_id)}
        assert journal.pictures(run.run_id)
    for finding in findings:
        field = fields[finding["field_index"]]
        assert abs(finding["x_um"] - field.x_um) <= run.field_width_um / 2
        assert abs(finding["y_um"] - field.y_um) <= run.field_height_um / 2
    assert ran.result["verdict"]["grade"] == ran.result["verdict"]["category"]


@pytest.mark.parametrize("content", ["empty", "ink"])
def test_a_slide_that_cannot_be_read_is_unsatisfactory_and_says_why(cytoscan: Callable[..., Ran], content: str) -> None:
    ran = cytoscan("scan", "--assay", "serous", "--content", content, "--seed", "5", *FEW)
    assert ran.code == 0, ran.err
    verdict = ran.result["verdict"]
    assert verdict["category"] in {"unsatisfactory", "ND"}
    assert ran.result["fields"]["usable"] == 0
    words = " ".join(verdict["reasons"]).lower()
    assert ("blank" in words or "empty" in words or "no specimen" in words) if content == "empty" else "ink" in words


def recorded(journal: Path) -> int:
    """Fields on disk so far; none while the command is still making the journal."""
    try:
        with JournalReader.open(journal) as reader:
            return sum(len(reader.recorded_indexes(run.run_id)) for run in reader.unfinished())
    except JournalError:
        return 0


def start_and_wait_for_fields(tmp_path: Path, arguments: list[str], fields: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command(*arguments), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    journal = tmp_path / "build/cytoscan/journal.sqlite"
    deadline = time.monotonic() + 90
    while recorded(journal) < fields:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no fields were recorded"
        time.sleep(0.05)
    return process


def test_after_kill_9_the_scan_goes_on_at_the_next_field(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    arguments = ["scan", "--assay", "serous", "--seed", "43", "--fields", "12", "--twin", *SMALL]
    process = start_and_wait_for_fields(tmp_path, arguments, 3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = recorded(tmp_path / "build/cytoscan/journal.sqlite")
    assert 3 <= before < 12
    ran = cytoscan(*arguments, "--json", "result.json")
    assert ran.code == 0, ran.err
    assert ran.result["resumed_fields"] == before
    assert ran.result["run"] == 1
    assert ran.result["fields"]["captured"] == 12


def test_ctrl_c_ends_after_the_field_in_hand_and_keeps_what_was_read(tmp_path: Path) -> None:
    arguments = ["scan", "--assay", "serous", "--seed", "44", "--fields", "40", "--twin", *SMALL]
    process = start_and_wait_for_fields(tmp_path, arguments, 2)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "All fields read so far are recorded" in said
    assert recorded(tmp_path / "build/cytoscan/journal.sqlite") >= 2


def test_an_unfinished_reading_is_not_mixed_with_another_plan(cytoscan: Callable[..., Ran], tmp_path: Path) -> None:
    arguments = ["scan", "--assay", "serous", "--seed", "45", "--fields", "12", "--twin", *SMALL]
    process = start_and_wait_for_fields(tmp_path, arguments, 2)
    process.kill()
    process.wait()
    other = ["scan", "--assay", "serous", "--seed", "45", "--fields", "5", "--twin", "--json", "result.json", *SMALL]
    refused = cytoscan(*other)
    assert refused.code == 7
    assert "unfinished reading" in refused.err
    assert "--restart" in refused.err
    anew = cytoscan(*other, "--restart")
    assert anew.code == 0, anew.err
    assert anew.result["fields"]["captured"] == 5
    assert anew.result["run"] == 2
