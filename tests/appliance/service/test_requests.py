"""What is a request and what is none."""

from __future__ import annotations

import json

import pytest

from appliance.service.errors import ServiceError
from appliance.service.requests import LONGEST_LINE, ScanRequest, Status, StopRequest, parse_request, to_line

from .conftest import SCAN


def line(**changes: object) -> bytes:
    return json.dumps({**SCAN, **changes}).encode()


def test_a_scan_names_its_slide_and_may_name_a_volume() -> None:
    asked = parse_request(line(volume_ml=75))
    assert isinstance(asked, ScanRequest)
    assert (asked.accession, asked.operator, asked.volume_ml, asked.restart) == ("S26/0012", "Jürgen", 75, False)
    assert isinstance(parse_request(b'{"request": "stop"}'), StopRequest)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (b"", "EOF"),
        (b"scan", "JSON"),
        (b"[]", "object"),
        (b"\xff\xfe", "JSON"),
        (b"{}", "discriminator"),
        (b'{"request": "home"}', "home"),
        (b'{"request": "scan", "assay": "afb"}', "accession"),
        (line(extra=1), "extra"),
        (line(accession=26), "accession"),
        (line(accession=""), "accession"),
        (line(accession="../../etc"), "accession"),
        (line(slide=".."), "slide"),
        (line(slide="A1\n"), "slide"),
        (line(slide="A1 "), "slide"),
        (line(accession="S" * 65), "accession"),
        (line(operator="a\x1bb"), "operator"),
        (line(volume_ml=0), "volume_ml"),
        (line(volume_ml="75"), "volume_ml"),
        (line(restart="yes"), "restart"),
        (line(operator="u" * LONGEST_LINE), str(LONGEST_LINE)),
    ],
)
def test_what_is_no_request_is_refused_and_its_place_named(wrong: bytes, said: str) -> None:
    with pytest.raises(ServiceError) as refused:
        parse_request(wrong)
    assert said in refused.value.what
    assert refused.value.remedy


def test_an_event_is_one_line() -> None:
    written = to_line(Status(state="idle"))
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    assert json.loads(written)["state"] == "idle"
