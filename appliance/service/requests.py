"""What may be asked of the scanner over its socket, and what it answers: one JSON object a line, each way.

    {"request": "scan", "assay": "afb", "accession": "S26-1", "slide": "A1", "operator": "u:4711"}

is answered by `accepted`, then by `step` and `progress` as they come, and by `verdict` or `error` in the end; or by
`refused`, when it is not begun. It may have `volume_ml`, and `restart` to give up an unfinished reading of the slide.

    {"request": "status"}

is answered by `status`, and

    {"request": "stop"}

by `accepted`: the reading then ends after the field in hand, which its own client hears as `error`.

A client keeps its connection open until it has what it wants. One that goes away does not end the reading: `status`
tells any other how it goes. A line that is no request is `refused`, and the connection that it came on is closed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from appliance.messages.envelope import UtcTime
from appliance.service.errors import ServiceError
from appliance.yaml_model import StrictModel

LONGEST_LINE = 4096


def _printable(name: str) -> str:
    if not name.isprintable():
        msg = "only printable characters can stand in a record"
        raise ValueError(msg)
    return name


# The names of a case and a slide become names of folders: plain letters, and none that begins with a dot.
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([ -~]{0,62}[!-~])?$")]
Person = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]


class Asked(StrictModel):
    """Which slide is to be read, or was being read, and for whom. volume_ml: submitted volume of an effusion, mL."""

    assay: str = Field(min_length=1, max_length=64)
    accession: Label
    slide: Label
    operator: Person
    volume_ml: float | None = Field(default=None, gt=0, le=20_000)


class ScanRequest(Asked):
    """Read the slide on the stage. restart: give up an unfinished reading of it and begin anew."""

    request: Literal["scan"]
    restart: bool = False


class StatusRequest(StrictModel):
    """Say what the scanner does."""

    request: Literal["status"]


class StopRequest(StrictModel):
    """End the reading after the field in hand; asked for again, it goes on from there."""

    request: Literal["stop"]


Request = ScanRequest | StatusRequest | StopRequest
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="request")])


class Accepted(StrictModel):
    """The request will be done."""

    event: Literal["accepted"] = "accepted"
    request: Literal["scan", "stop"]


class Step(StrictModel):
    """A step that takes a while begins."""

    event: Literal["step"] = "step"
    step: str


class Progress(StrictModel):
    """So many fields of so many are recorded, and so many findings in those of this start."""

    event: Literal["progress"] = "progress"
    recorded: int = 0
    planned: int = 0
    findings: int = 0


class VerdictReached(StrictModel):
    """The reading is over. resumed: fields that an earlier start had recorded. report: its file on the device."""

    event: Literal["verdict"] = "verdict"
    run_id: str
    accession: str
    slide: str
    run: int
    category: str
    title: str
    reasons: tuple[str, ...]
    planned: int
    usable: int
    blank: int
    failed: int
    resumed: int
    engine: str
    backend: str
    report: str


class Failed(StrictModel):
    """The reading ended without a verdict: what happened, what is safe now, what to do."""

    event: Literal["error"] = "error"
    what: str
    safe: str
    remedy: str


class Refused(StrictModel):
    """The request was not begun, and why."""

    event: Literal["refused"] = "refused"
    what: str
    safe: str
    remedy: str


class SlideInHand(Asked):
    """A slide and when its reading was begun, or gone on with."""

    started_at: UtcTime


class Status(StrictModel):
    """What the scanner does.

    slide, step, progress: of the reading, while there is one. fault: how the last one failed. interrupted: the slide
    that was being read when an earlier process ended; asked for again, it goes on where it was.
    """

    event: Literal["status"] = "status"
    state: Literal["idle", "scanning", "fault"]
    slide: SlideInHand | None = None
    step: str = ""
    progress: Progress | None = None
    fault: Failed | None = None
    interrupted: SlideInHand | None = None


Event = Accepted | Step | Progress | VerdictReached | Failed | Refused | Status


def parse_request(line: bytes) -> Request:
    """The request in one line. Raises ServiceError that says what is wrong with it."""
    if len(line) > LONGEST_LINE:
        raise _no_request(f"a line has at most {LONGEST_LINE} bytes")
    try:
        return _REQUEST.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise _no_request(f"{where}: {first['msg']}" if where else first["msg"]) from error


def to_line(event: Event) -> bytes:
    """An event as its line, newline included."""
    return event.model_dump_json().encode() + b"\n"


def _no_request(why: str) -> ServiceError:
    return ServiceError(
        f"This is no request: {why}.",
        safe="Nothing was begun.",
        remedy='Send one JSON object a line, for example {"request": "status"}.',
    )
