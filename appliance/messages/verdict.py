"""The verdict of one slide, as the hub gets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from appliance.messages.clock import ClockStatus
from appliance.messages.envelope import Body, Envelope, EventBody, Figure, UtcTime, source_urn
from appliance.messages.ids import idempotency_key, new_uuid7
from appliance.messages.outgoing import OutboxMessage
from appliance.messages.topics import Leaf, Topics
from appliance.records import Finding, SlideRun

if TYPE_CHECKING:  # grading stands on SciPy, which sender and hub need not load
    from appliance.verdict.model import Verdict


class CountBody(Body):
    """A count with its 95 % interval, and per mm² of usable area (null without area)."""

    n: int = Field(ge=0)
    low: Figure
    high: Figure
    per_mm2: Figure


class FieldsBody(Body):
    """Fields by what became of them."""

    planned: int = Field(ge=0)
    captured: int = Field(ge=0)
    usable: int = Field(ge=0)
    blank: int = Field(ge=0)
    failed: int = Field(ge=0)


class FindingBody(Body):
    """One of the most probable findings: where on the slide, in stage µm."""

    label: str
    probability: float = Field(ge=0, le=1)
    field: int = Field(ge=0)
    x_um: float
    y_um: float
    z_um: float


class OpticsBody(Body):
    """How the slide was seen. field_width_um, field_height_um: one field on the slide."""

    magnification: int = Field(gt=0)
    na: float = Field(gt=0)
    um_per_px: float = Field(gt=0)
    field_width_um: float = Field(gt=0)
    field_height_um: float = Field(gt=0)


class BackendBody(Body):
    """Which network ran on what."""

    engine: str
    runtime: str
    onnx_sha256: str


class VerdictBody(EventBody):
    """AI-assisted suggestion for one slide, for review; `unsatisfactory` is a verdict too.

    category: code of the assay's table, or `unsatisfactory`. audit_head: newest audit hash before this verdict.
    """

    run_id: str
    accession: str = Field(min_length=1)
    slide: str = Field(min_length=1)
    run: int = Field(ge=1)
    assay: str = Field(min_length=1)
    category: str = Field(min_length=1)
    title: str
    reasons: tuple[str, ...]
    provisional: bool
    score: Figure
    table: str
    operating_point: str
    counts: dict[str, CountBody]
    fields: FieldsBody
    area_mm2: float = Field(ge=0)
    figures: dict[str, Figure]
    also: dict[str, str]
    flags: tuple[str, ...]
    findings: tuple[FindingBody, ...]
    optics: OpticsBody
    backend: BackendBody
    plan_sha256: str
    settings_sha256: str
    app_version: str
    operator: str
    started_at: UtcTime
    finished_at: UtcTime
    resumed: int = Field(ge=0)
    audit_head: str
    intended_use: Literal["research use only"] = "research use only"


class VerdictMessage(Envelope[VerdictBody]):
    """A verdict on its way to the hub."""

    type: Literal["org.cytoscan.slide.verdict.v1"] = "org.cytoscan.slide.verdict.v1"
    dataschema: str = Field(default="urn:cytoscan:schema:verdict:1.0", pattern=r"^urn:cytoscan:schema:verdict:1\.\d+$")


@dataclass(frozen=True)
class Origin:
    """Who sends: the device, and where its journal stands.

    session, seq, audit_head: as the journal gives them. clock: what the kernel says of its clock.
    """

    site: str
    device: str
    session: str
    seq: int
    audit_head: str
    clock: ClockStatus


def verdict_message(
    run: SlideRun, verdict: Verdict, top: Sequence[Finding], origin: Origin, finished_at: datetime
) -> OutboxMessage:
    """The verdict with its most probable findings, ready for the outbox.

    top: at most some dozens, most probable first. finished_at: UTC.
    """
    unique = new_uuid7()
    body = VerdictBody(
        key=idempotency_key(unique, origin.device, run.accession, run.run),
        seq=origin.seq,
        session=origin.session,
        clock=origin.clock,
        findings=tuple(_finding(finding) for finding in top),
        optics=OpticsBody(
            magnification=run.magnification,
            na=run.na,
            um_per_px=run.um_per_px,
            field_width_um=run.field_width_um,
            field_height_um=run.field_height_um,
        ),
        backend=BackendBody(engine=run.engine, runtime=run.backend, onnx_sha256=run.onnx_sha256),
        audit_head=origin.audit_head,
        finished_at=finished_at,
        **_of_run(run),  # type: ignore[arg-type]
        **_of_verdict(verdict),  # type: ignore[arg-type]
    )
    message = VerdictMessage(
        id=str(unique),
        source=source_urn(origin.site, origin.device),
        subject=f"slide/{run.accession}-{run.slide}/run/{run.run}",
        time=finished_at,
        data=body,
    )
    topic = Topics(origin.site, origin.device).of(Leaf.VERDICT)
    return OutboxMessage(key=body.key, topic=topic, payload=message.payload())


def _of_run(run: SlideRun) -> dict[str, object]:
    names = (
        "run_id",
        "accession",
        "slide",
        "run",
        "plan_sha256",
        "settings_sha256",
        "app_version",
        "operator",
        "started_at",
        "resumed",
    )
    return {name: getattr(run, name) for name in names}


def _of_verdict(verdict: Verdict) -> dict[str, object]:
    return asdict(verdict)


def _finding(finding: Finding) -> FindingBody:
    return FindingBody(
        label=finding.label,
        probability=min(max(finding.probability, 0.0), 1.0),  # single precision may end a hair outside
        field=finding.field_index,
        x_um=finding.x_um,
        y_um=finding.y_um,
        z_um=finding.z_um,
    )
