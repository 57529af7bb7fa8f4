"""The pipeline feeds the watchdog, and says how far it is."""

from __future__ import annotations

from dataclasses import replace

from appliance.scan.events import FieldDone, ScanListener, SecondPlaneDone
from appliance.scan.rig import Meter
from appliance.service.heartbeat import Heartbeat
from appliance.service.notify import Notifier
from appliance.service.requests import Progress, Step

from ..slide_samples import Samples
from .conftest import Manager, beats


def test_every_progress_of_a_scan_is_one_heartbeat_with_its_figures(manager: Manager, samples: Samples) -> None:
    told: list[Step | Progress] = []
    notifier = Notifier(manager.address, 30.0)
    heart = Heartbeat(notifier, ("malignant",), told.append)
    first = samples.field(3)
    heart.step("homing")
    heart.planned(200, 35)
    heart.step("surveying")
    heart.surveyed(Meter())
    heart.field_done(FieldDone(replace(first, counts={"malignant": 2, "benign": 280}), (), 1, Meter()))
    heart.field_done(FieldDone(replace(first, index=4, counts={}), (), 2, Meter()))
    more = replace(first, counts={"malignant": 5})
    heart.second_plane_done(SecondPlaneDone(replace(first, counts={"malignant": 2}), more, (), 3, Meter()))
    heart.ended_early(37)
    heard = manager.heard()
    assert beats(heard) == len(heard) == 8
    assert [message.split("STATUS=")[1] for message in heard] == [
        "homing",
        "field 35 of 200, 0 findings",
        "surveying",
        "reading fields",
        "field 36 of 200, 2 findings",
        "field 37 of 200, 2 findings",
        "field 37 of 200, 5 findings",
        "37 fields are enough",
    ]
    assert told[0] == Step(step="homing")
    assert told[-2] == heart.now[1] == Progress(recorded=37, planned=200, findings=5)
    assert heart.now[0] == "37 fields are enough"
    notifier.close()


def test_no_event_of_a_scan_is_passed_over() -> None:
    events = [name for name in vars(ScanListener) if not name.startswith("_")]
    assert [name for name in events if name not in vars(Heartbeat)] == []
