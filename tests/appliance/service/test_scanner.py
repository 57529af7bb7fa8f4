"""The service from outside: over its socket, and as its manager hears it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import JournalError
from appliance.scan.events import FieldDone, ScanListener
from appliance.scan.rig import Meter
from appliance.service import breadcrumb
from appliance.service.errors import ServiceError
from drivers.errors import CameraLost
from engines.errors import BadPackage

from ..slide_samples import Samples
from .conftest import SCAN, VERDICT, Manager, Running, Script, beats

Start = Callable[[], Running]


def one_field(samples: Samples, index: int) -> Callable[[ScanListener], None]:
    return lambda listener: listener.field_done(FieldDone(samples.field(index), (), index, Meter()))


def test_a_slide_goes_from_accepted_to_its_verdict(start: Start, script: Script, samples: Samples) -> None:
    running = start()
    with running.client() as client:
        assert client.status() == {
            "event": "status",
            "state": "idle",
            "slide": None,
            "step": "",
            "progress": None,
            "fault": None,
            "interrupted": None,
        }
        client.ask(**SCAN)
        assert client.hear() == {"event": "accepted", "request": "scan"}
        script.then(lambda listener: listener.step("homing"))
        script.then(lambda listener: listener.planned(2, 0))
        script.then(one_field(samples, 0))
        assert client.hear() == {"event": "step", "step": "homing"}
        assert client.hear() == {"event": "progress", "recorded": 0, "planned": 2, "findings": 0}
        assert client.hear() == {"event": "progress", "recorded": 1, "planned": 2, "findings": 20}
        now = client.status()
        assert (now["state"], now["step"]) == ("scanning", "homing")
        assert now["progress"] == {"event": "progress", "recorded": 1, "planned": 2, "findings": 20}
        assert now["slide"]["accession"] == "S26/0012"  # type: ignore[index]
        script.then(VERDICT)
        verdict = client.hear()
        assert (verdict["event"], verdict["category"], verdict["report"]) == ("verdict", "AUS", "report.html")
        assert client.status()["state"] == "idle"
    assert [request.operator for request in script.begun] == ["Jürgen"]
    assert not running.crumb.exists()


def test_a_second_slide_is_refused_while_one_is_read(start: Start, script: Script) -> None:
    running = start()
    with running.client() as first, running.client() as second:
        first.ask(**SCAN)
        assert first.hear()["event"] == "accepted"
        second.ask(**{**SCAN, "slide": "A2"})
        refused = second.hear()
        assert (refused["event"], refused["what"]) == ("refused", "Another slide is being read.")
        script.then(VERDICT)
        assert first.hear()["event"] == "verdict"
        second.ask(**{**SCAN, "slide": "A2"})
        assert second.hear()["event"] == "accepted"
        script.then(VERDICT)
        assert second.hear()["event"] == "verdict"
    assert [request.slide for request in script.begun] == ["A1", "A2"]


def test_an_unknown_assay_is_refused_and_a_file_is_never_one(start: Start, script: Script) -> None:
    running = start()
    with running.client() as client:
        for name in ("cervix", "afb.yaml", "appliance/assays/afb.yaml"):
            client.ask(**{**SCAN, "assay": name})
            refused = client.hear()
            assert refused["event"] == "refused"
            assert "afb, serous" in str(refused["remedy"])
    assert script.begun == []


@pytest.mark.parametrize(
    ("error", "safe"),
    [
        (CameraLost("The camera is gone.", remedy="Plug it in."), "Nothing is moving."),
        (BadPackage("It is torn.", remedy="Fetch it."), "What was read before is recorded."),
        (JournalError("The disk is full.", safe="All is kept.", remedy="Free space."), "All is kept."),
    ],
)
def test_a_known_error_is_told_and_stands_as_fault_until_the_next_slide(
    start: Start, script: Script, error: Exception, safe: str
) -> None:
    running = start()
    with running.client() as client:
        client.ask(**SCAN)
        assert client.hear()["event"] == "accepted"
        script.then(error)
        told = client.hear()
        assert told == {"event": "error", "what": error.what, "safe": safe, "remedy": error.remedy}  # type: ignore[attr-defined]
        now = client.status()
        assert (now["state"], now["fault"]) == ("fault", told)
        client.ask(**SCAN)
        assert client.hear()["event"] == "accepted"
        assert client.status()["state"] == "scanning"
        script.then(VERDICT)
        assert client.hear()["event"] == "verdict"
        assert client.status()["state"] == "idle"


def test_an_error_that_nobody_foresaw_is_told_and_ends_the_service(start: Start, script: Script) -> None:
    running = start()
    with running.client() as client:
        client.ask(**SCAN)
        assert client.hear()["event"] == "accepted"
        script.then(ZeroDivisionError("by zero"))
        assert "fault of the program (ZeroDivisionError)" in str(client.hear()["what"])
        assert client.hear() == {}
    assert running.ended()
    assert isinstance(running.error, ZeroDivisionError)
    assert running.crumb.exists()
    assert not running.path.exists()


def test_a_client_that_goes_away_does_not_end_the_reading(start: Start, script: Script, samples: Samples) -> None:
    running = start()
    with running.client() as client:
        client.ask(**SCAN)
        assert client.hear()["event"] == "accepted"
    script.then(lambda listener: listener.planned(2, 0))
    script.then(one_field(samples, 0))
    with running.client() as other:
        while (now := other.status())["progress"] != {"event": "progress", "recorded": 1, "planned": 2, "findings": 20}:
            assert now["state"] == "scanning"
        script.then(VERDICT)
        while other.status()["state"] == "scanning":
            assert not running.error
        assert other.status()["state"] == "idle"


def test_anybody_may_stop_the_reading_and_its_client_hears_of_it(start: Start, script: Script) -> None:
    running = start()
    with running.client() as client, running.client() as other:
        other.ask(request="stop")
        assert other.hear()["what"] == "No slide is being read."
        client.ask(**SCAN)
        assert client.hear()["event"] == "accepted"
        script.stop_as_a_scan_does()
        other.ask(request="stop")
        assert other.hear() == {"event": "accepted", "request": "stop"}
        assert "stopped before its end" in str(client.hear()["what"])
        assert client.status()["state"] == "idle"
    assert not running.crumb.exists()


@pytest.mark.parametrize("wrong", ["nonsense", "x" * 5000, '{"request": "scan"}'])
def test_a_line_that_is_no_request_closes_its_connection_and_no_other(start: Start, script: Script, wrong: str) -> None:
    running = start()
    with running.client() as good, running.client() as bad:
        good.ask(**SCAN)
        script.then(lambda listener: listener.step("homing"))
        assert [good.hear()["event"] for _ in range(2)] == ["accepted", "step"]
        bad.say(wrong + '\n{"request": "stop"}')
        refused = bad.hear()
        assert refused["event"] == "refused"
        assert "This is no request" in str(refused["what"])
        assert bad.hear() == {}
        assert not script.stop.is_set()
        script.then(VERDICT)
        assert good.hear()["event"] == "verdict"


def test_while_a_reading_hangs_nothing_feeds_the_watchdog(
    start: Start, script: Script, manager: Manager, samples: Samples
) -> None:
    """The loop's clock says at each turn that a feed is overdue, and each answered status shows that it has turned."""
    running = start()
    with running.client() as client:
        client.ask(**SCAN)
        assert client.hear()["event"] == "accepted"
        script.then(lambda listener: listener.planned(9, 0))
        script.then(one_field(samples, 0))
        assert [client.hear()["event"] for _ in range(2)] == ["progress", "progress"]
        before = manager.heard()
        assert before[-1] == "WATCHDOG=1\nSTATUS=field 1 of 9, 20 findings"
        for _ in range(50):
            assert client.status()["state"] == "scanning"
        assert manager.heard() == []
        script.then(one_field(samples, 1))
        assert client.hear()["event"] == "progress"
        assert manager.heard() == ["WATCHDOG=1\nSTATUS=field 2 of 9, 40 findings"]


def test_while_it_is_idle_its_own_loop_feeds_the_watchdog(start: Start, script: Script, manager: Manager) -> None:
    running = start()
    assert manager.hear() == "READY=1\nSTATUS=idle"
    with running.client() as client:
        for _ in range(20):
            client.status()
            assert beats([manager.hear()]) == 1
        client.ask(**SCAN)
        script.then(VERDICT)
        assert [client.hear()["event"] for _ in range(2)] == ["accepted", "verdict"]
        while "STATUS=idle" not in manager.hear():
            client.status()
        for _ in range(20):
            client.status()
            assert beats([manager.hear()]) == 1


def test_told_to_end_it_stops_after_the_field_in_hand_and_the_next_start_tells_of_the_slide(
    start: Start, script: Script, manager: Manager
) -> None:
    running = start()
    with running.client() as client:
        client.ask(**SCAN, volume_ml=50)
        script.then(lambda listener: listener.step("homing"))
        assert [client.hear()["event"] for _ in range(2)] == ["accepted", "step"]
        manager.heard()
        running.end.set()
        assert manager.hear().startswith("STOPPING=1")
        client.ask(**SCAN)
        assert client.hear()["what"] == "The scanner is ending."
        assert script.stop.is_set()
        script.stop_as_a_scan_does()
        assert "stopped before its end" in str(client.hear()["what"])
        assert client.hear() == {}
    assert running.ended()
    assert running.error is None
    again = start()
    with again.client() as client:
        interrupted = client.status()["interrupted"]
        assert isinstance(interrupted, dict)
        assert (interrupted["accession"], interrupted["volume_ml"]) == ("S26/0012", 50)
        assert not any("S26" in line for line in again.log)
        assert any("interrupted" in line for line in again.log)
        client.ask(**{**SCAN, "slide": "B7"})
        assert client.hear()["event"] == "accepted"
        assert client.status()["interrupted"] == interrupted
        script.then(VERDICT)
        assert client.hear()["event"] == "verdict"
        client.ask(**SCAN)
        assert client.hear()["event"] == "accepted"
        assert client.status()["interrupted"] is None


def test_told_to_end_while_idle_it_ends(start: Start, manager: Manager) -> None:
    running = start()
    assert manager.hear().startswith("READY=1")
    running.end.set()
    assert running.ended()
    assert manager.heard()[-1] == "STOPPING=1\nSTATUS=ending"
    assert not running.path.exists()


def test_a_note_that_cannot_be_read_is_told_of_and_the_service_starts(start: Start, tmp_path: Path) -> None:
    (tmp_path / "slide-in-hand.json").write_text("{")
    running = start()
    with running.client() as client:
        assert client.status()["state"] == "idle"
    assert any("slide-in-hand.json" in line for line in running.log)


def test_a_slide_that_cannot_be_noted_is_not_begun(
    start: Start, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ServiceError("The disk is full.", remedy="Free space.")

    monkeypatch.setattr(breadcrumb.Breadcrumb, "write", full)
    running = start()
    with running.client() as client:
        client.ask(**SCAN)
        assert client.hear()["what"] == "The disk is full."
        assert client.status()["state"] == "idle"
    assert script.begun == []


def test_the_log_names_no_case(start: Start, script: Script) -> None:
    running = start()
    with running.client() as client:
        client.ask(**SCAN)
        script.then(JournalError("Slide A1 of S26/0012 has an unfinished reading.", remedy="Restart it."))
        assert "S26/0012" in json.dumps([client.hear() for _ in range(2)])
        client.status()
    assert running.log == ["A slide is being read: serous.", "The slide has no verdict: JournalError."]
