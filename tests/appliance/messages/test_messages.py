"""Messages keep to their schemas, and the hub sees when they do not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from uuid import UUID

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import SettingsError
from appliance.messages import BadMessage, Leaf, Topics, read, read_clock
from appliance.messages.clock import ClockStatus
from appliance.messages.device import AlarmBody, alarm_message
from appliance.messages.ids import RANDOM_BITS, alarm_key, idempotency_key, new_uuid7, uuid7
from appliance.messages.receipt import ReceiptBody, receipt_message
from appliance.messages.schema_files import FOLDER, schema_text
from appliance.messages.topics import HUB_FILTERS, parse
from appliance.messages.verdict import Origin, VerdictMessage, verdict_message
from appliance.messages.wire import LARGEST_BYTES, MESSAGES
from appliance.records import SlideRun
from appliance.verdict.model import CountEstimate

from ..slide_samples import NOW, Samples

ORIGIN = Origin("lab", "twin-1", "session-1", 7, "0" * 64, ClockStatus(synced=True, source="kernel"))


def payload_of(samples: Samples, run: SlideRun | None = None) -> dict[str, object]:
    values: dict[str, object] = json.loads(samples.message(run or samples.run()).payload)
    return values


def test_uuid7_matches_the_example_of_the_standard() -> None:
    """RFC 9562, appendix A.6."""
    made = uuid7(0x017F22E279B0, 0xCC3 << 62 | 0x18C4DC0C0C07398F)
    assert made == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**RANDOM_BITS - 1))
def test_uuid7_has_version_variant_and_time(unix_ms: int, bits: int) -> None:
    made = uuid7(unix_ms, bits)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == unix_ms


@pytest.mark.parametrize(("unix_ms", "bits"), [(-1, 0), (2**48, 0), (0, -1), (0, 2**74)])
def test_uuid7_refuses_what_does_not_fit(unix_ms: int, bits: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        uuid7(unix_ms, bits)


def test_new_identifiers_differ_and_sort_by_time() -> None:
    assert len({new_uuid7() for _ in range(1000)}) == 1000
    assert uuid7(1000, 2**RANDOM_BITS - 1) < uuid7(1001, 0)


def test_keys_name_what_they_are_about() -> None:
    unique = uuid7(1000, 1)
    assert idempotency_key(unique, "twin-1", "S26-1", 2) == f"{unique}:twin-1:S26-1:2"
    assert alarm_key("lab", "a", "refused", "x") != alarm_key("lab", "b", "refused", "x")
    assert alarm_key("lab", "a", "refused", "x") == alarm_key("lab", "a", "refused", "x")


@pytest.mark.parametrize("leaf", list(Leaf))
def test_topics_come_apart_as_they_were_made(leaf: Leaf) -> None:
    address = parse(Topics("lab-2", "twin_1").of(leaf))
    assert address is not None
    assert (address.site, address.device, address.leaf) == ("lab-2", "twin_1", leaf)


@given(st.text(max_size=70))
def test_no_name_brings_wildcards_or_levels_into_a_topic(name: str) -> None:
    try:
        topic = Topics("lab", name).of(Leaf.STATE)
    except SettingsError:
        return
    assert topic.count("/") == 3
    assert not set(topic) & set("+#\0 \n$")


@pytest.mark.parametrize("bad", ["", "a/b", "+", "#", "a#", "$SYS", "-a", "a\n", "ä", "a" * 64])
def test_bad_names_are_told(bad: str) -> None:
    with pytest.raises(SettingsError, match="site name"):
        Topics(bad, "twin-1")
    with pytest.raises(SettingsError, match="device name"):
        Topics("lab", bad)


@pytest.mark.parametrize("topic", ["", "lab", "lab/a/b", "other/a/b/state", "lab/a+/b/state", "lab//b/state"])
def test_foreign_topics_are_none_of_ours(topic: str) -> None:
    assert parse(topic) is None


def test_an_accession_never_stands_in_a_topic(samples: Samples) -> None:
    message = samples.message(samples.run(accession="S26-SECRET"))
    assert "SECRET" not in message.topic
    assert "SECRET" in message.key
    assert all("accession" not in name for name in HUB_FILTERS)


def test_a_verdict_carries_who_what_and_how(samples: Samples) -> None:
    run = samples.run(3, resumed=2)
    message = verdict_message(run, samples.verdict(), samples.findings(4, 2), ORIGIN, NOW)
    read_back = read(Leaf.VERDICT, message.payload)
    assert isinstance(read_back, VerdictMessage)
    body = read_back.data
    assert message.key == body.key == f"{read_back.id}:twin-1:S26-001234:3"
    assert (read_back.source, read_back.subject) == ("urn:cytoscan:lab:twin-1", "slide/S26-001234-A1/run/3")
    assert (body.category, body.reasons, body.run, body.resumed) == ("AUS", ("Few atypical cells.",), 3, 2)
    assert (body.backend.engine, body.backend.runtime) == ("serous-1.0.0", "onnxruntime 1.23.2 CPU")
    assert (body.fields.planned, body.fields.failed, body.counts["malignant"].high) == (60, 1, 8.8)
    assert (body.findings[1].field, body.findings[1].x_um) == (4, 38000.0 + 1 / 3)
    assert body.intended_use == "research use only"
    assert body.seq == 7


def test_times_are_utc_whatever_zone_they_came_in(samples: Samples) -> None:
    abroad = NOW.astimezone(timezone(timedelta(hours=9)))
    message = verdict_message(samples.run(), samples.verdict(), [], ORIGIN, abroad)
    assert json.loads(message.payload)["time"] == "2026-11-23T02:00:00.123456Z"


def test_a_time_without_zone_is_refused(samples: Samples) -> None:
    with pytest.raises(ValueError, match="timezone"):
        verdict_message(samples.run(), samples.verdict(), [], ORIGIN, datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_figure_that_does_not_exist_is_null_and_keeps_no_verdict_back(samples: Samples) -> None:
    verdict = samples.verdict(
        score=None,
        figures={"cells_per_mm2": math.nan, "bound": math.inf},
        counts={"afb": CountEstimate(0, 0.0, 3.7, math.inf)},
    )
    body = json.loads(verdict_message(samples.run(), verdict, [], ORIGIN, NOW).payload)["data"]
    assert body["figures"] == {"cells_per_mm2": None, "bound": None}
    assert (body["score"], body["counts"]["afb"]["per_mm2"]) == (None, None)


def test_a_probability_of_single_precision_keeps_no_verdict_back(samples: Samples) -> None:
    found = [replace(samples.findings(0, 1)[0], probability=p) for p in (1.0000001, -1e-9)]
    body = json.loads(verdict_message(samples.run(), samples.verdict(), found, ORIGIN, NOW).payload)["data"]
    assert [finding["probability"] for finding in body["findings"]] == [1.0, 0.0]


def test_unknown_keys_of_a_newer_version_are_passed_over(samples: Samples) -> None:
    values = payload_of(samples)
    values["data"]["colour"] = "blue"  # type: ignore[index]
    values["dataschema"] = "urn:cytoscan:schema:verdict:1.4"
    assert isinstance(read(Leaf.VERDICT, json.dumps(values).encode()), VerdictMessage)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("type",), "org.cytoscan.slide.verdict.v2"),
        (("dataschema",), "urn:cytoscan:schema:verdict:2.0"),
        (("specversion",), "0.3"),
        (("id",), "not-a-uuid"),
        (("source",), "somewhere"),
        (("time",), "yesterday"),
        (("time",), "2026-11-23T02:00:00"),
        (("data", "key"), ""),
        (("data", "seq"), -1),
        (("data", "fields", "usable"), -1),
        (("data", "findings"), [{"label": "x", "probability": 1.1, "field": 0, "x_um": 0, "y_um": 0, "z_um": 0}]),
        (("data", "intended_use"), "diagnosis"),
        (("data", "clock"), None),
    ],
)
def test_what_breaks_the_schema_is_refused_by_name(samples: Samples, place: tuple[str, ...], value: object) -> None:
    values = payload_of(samples)
    inner = values
    for name in place[:-1]:
        inner = inner[name]  # type: ignore[assignment]
    inner[place[-1]] = value
    with pytest.raises(BadMessage, match=rf"Not a verdict message: {'.'.join(place)}"):
        read(Leaf.VERDICT, json.dumps(values).encode())


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b'{"data": 3}', b"null", b"[" * 100_000])
def test_rubbish_is_refused_without_a_key(payload: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        read(Leaf.VERDICT, payload)
    assert caught.value.key is None


def test_a_bad_message_tells_its_key_when_that_can_be_read(samples: Samples) -> None:
    values = payload_of(samples)
    values["data"]["category"] = 5  # type: ignore[index]
    with pytest.raises(BadMessage) as caught:
        read(Leaf.VERDICT, json.dumps(values).encode())
    assert caught.value.key == values["data"]["key"]  # type: ignore[index]


def test_a_huge_message_is_not_even_parsed() -> None:
    with pytest.raises(BadMessage, match="bytes"):
        read(Leaf.VERDICT, b" " * (LARGEST_BYTES + 1))


def test_a_topic_without_messages_refuses_everything(samples: Samples) -> None:
    for leaf in (Leaf.QUALITY, None):
        with pytest.raises(BadMessage, match="No message"):
            read(leaf, samples.message(samples.run()).payload)


@pytest.mark.parametrize("name", list(MESSAGES))
def test_the_published_schemas_are_those_of_the_models(name: str) -> None:
    """If this fails on purpose: python -m appliance.messages.schema_files."""
    assert json.loads((FOLDER / f"{name}.json").read_text()) == json.loads(schema_text(name))
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text(name)))


def test_no_schema_file_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(MESSAGES)


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((FOLDER / f"{name}.json").read_text()))


def test_verdict_alarm_and_receipt_validate_against_the_files(samples: Samples) -> None:
    body = AlarmBody(
        key="k", seq=1, session="s", clock=read_clock(), code="broker-refused", what="a.", safe="b.", remedy="c."
    )
    alarm = alarm_message(Topics("lab", "twin-1"), body, NOW)
    receipt = receipt_message("lab", "twin-1", ReceiptBody(key="k", status="accepted", reason="", hub_time=NOW), NOW)
    validator("alarm").validate(json.loads(alarm.payload))
    validator("receipt").validate(json.loads(receipt.payload()))
    unsatisfactory = replace(samples.verdict(), category="unsatisfactory", score=None, counts={}, figures={}, flags=())
    for verdict in (samples.verdict(), unsatisfactory):
        message = verdict_message(samples.run(), verdict, samples.findings(0, 5), ORIGIN, NOW)
        validator("verdict").validate(json.loads(message.payload))


def test_the_schema_files_refuse_what_the_models_refuse(samples: Samples) -> None:
    values = payload_of(samples)
    del values["data"]["accession"]  # type: ignore[attr-defined]
    assert not validator("verdict").is_valid(values)


def test_a_verdict_stays_small(samples: Samples) -> None:
    message = verdict_message(samples.run(), samples.verdict(), samples.findings(0, 50), ORIGIN, NOW)
    assert len(message.payload) < 20_000


def test_the_clock_is_asked_without_harm() -> None:
    status = read_clock()
    assert status.synced in (True, False, None)
    assert status.source


def test_asyncapi_names_every_topic_message_and_schema() -> None:
    document = yaml.safe_load(FOLDER.with_name("asyncapi.yaml").read_text())
    assert document["asyncapi"].startswith("3.")
    messages = document["components"]["messages"]
    assert set(messages) == set(MESSAGES)
    for name, message in messages.items():
        assert message["name"] == MESSAGES[name].model_fields["type"].default
        assert (FOLDER.parent / message["payload"]["schema"]["$ref"]).is_file()
    leaves = {channel["address"].removeprefix("lab/{site}/{device}/") for channel in document["channels"].values()}
    assert leaves == {leaf.value for leaf in Leaf} - {Leaf.QUALITY.value}
    used = {operation["channel"]["$ref"] for operation in document["operations"].values()}
    assert used == {f"#/channels/{name}" for name in document["channels"]}


def test_every_reference_in_asyncapi_leads_somewhere() -> None:
    document = yaml.safe_load(FOLDER.with_name("asyncapi.yaml").read_text())

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    found = [ref for ref in references(document) if ref.startswith("#/")]
    assert found
    for ref in found:
        node = document
        for step in ref.removeprefix("#/").split("/"):
            assert step in node, ref
            node = node[step]
