"""Read one slide: from settings and hardware to a verdict in the journal and a report on disk."""

from __future__ import annotations

import json
import platform
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import appliance
from appliance.assays.model import Assay
from appliance.cli.hardware import axial_curve, hardware
from appliance.cli.report_input import report_data
from appliance.cli.scoring import scorer
from appliance.errors import JournalError, PlanError, SettingsError
from appliance.journal import Journal, require_free_space
from appliance.messages.clock import read_clock
from appliance.messages.ids import new_uuid7
from appliance.messages.verdict import Origin, verdict_message
from appliance.records import FieldRecord, Finding, SlideRun
from appliance.report import write_report
from appliance.scan.events import ScanListener
from appliance.scan.interpret import ReadingRules
from appliance.scan.plan import Plan, Region, Shape, check_limits, make_plan
from appliance.scan.reader import Reader
from appliance.scan.rig import Rig
from appliance.scan.second_plane import SecondPlanes
from appliance.scan.until_enough import Recorded, scan_until_enough
from appliance.settings import Settings, settings_sha256
from appliance.verdict.form import check_operating_point, form_verdict
from appliance.verdict.model import Verdict
from appliance.verdict.plain import verdict_json
from drivers.camera.frame import CameraInfo, CameraSettings
from engines.package import EnginePackage
from engines.scorer import BackendInfo

MESSAGE_FINDINGS = 24


@dataclass(frozen=True)
class Order:
    """What is to be read, and for whom. restart: give up an unfinished reading of this slide and begin anew."""

    accession: str
    slide: str
    operator: str
    volume_ml: float | None = None
    restart: bool = False


@dataclass(frozen=True)
class SlideReading:
    """A finished reading. key: of the verdict's message. resumed: fields that an earlier start had recorded."""

    run: SlideRun
    verdict: Verdict
    fields: list[FieldRecord]
    findings: list[Finding]
    key: str
    report: Path
    resumed: int
    dof_um: float


def read_slide(
    settings: Settings, assay: Assay, order: Order, report: Path, listener: ScanListener, stop: threading.Event
) -> SlideReading:
    """Scan the slide on the stage and form its verdict; goes on with an unfinished reading of the same slide.

    The assay's stopping rule may end the reading before the plan does (`appliance.verdict.stopping`).
    report: file for the slide report. stop: when set, the scan ends after the field in hand and raises
    `appliance.errors.Stopped`; what was recorded stays, and the next start goes on from there.
    Raises SettingsError, PlanError, JournalError, DeviceError, EngineError.
    """
    if settings.optics.magnification not in assay.magnifications:
        raise SettingsError(
            f"The assay {assay.name} is not read at {settings.optics.magnification}x.",
            remedy=f"Set optics.magnification to one of: {', '.join(str(m) for m in assay.magnifications)}.",
        )
    focus = settings.focus.model_copy(update={"mode": settings.focus.mode or assay.reading.focus})
    settings = settings.model_copy(update={"focus": focus})
    settings.journal.path.parent.mkdir(parents=True, exist_ok=True)
    with scorer(settings, assay) as opened, Journal.open(settings.journal.path) as journal:
        package, engine = opened.package, opened.scorer
        check_operating_point(assay, package.operating_point)
        curve = axial_curve(settings, assay.name)
        require_free_space(settings.journal.path, settings.journal.min_free_mb)
        listener.step("homing")
        with hardware(settings) as (stage, camera):
            listener.opened(camera)
            stage.home()
            rig = Rig(stage, camera, CameraSettings(settings.camera.exposure_ms, settings.camera.gain_db))
            plan = plan_for(settings, assay, rig.info)
            check_limits(plan, {axis: stage.limits()[axis] for axis in ("x", "y")})
            fresh = _new_run(journal, settings, assay, order, plan, package, engine.backend)
            run, earlier = _resumed_or_begun(journal, fresh, plan, order)
            listener.planned(len(plan.fields), len(earlier))
            recorded = Recorded(assay, run, package.operating_point, earlier)
            reader = partial(
                Reader,
                run,
                engine,
                journal,
                _rules(settings, assay, package),
                queue_length=settings.scan.queue_length,
                done=listener.field_done,
                suffices=recorded.suffices,
                planes=_second_planes(settings, assay, run, earlier),
                done_again=listener.second_plane_done,
            )
            with opened.slide():
                scan_until_enough(rig, plan, recorded, settings, reader, listener, stop, curve)
        return _conclude(journal, settings, assay, run, package, report, len(earlier))


def plan_for(settings: Settings, assay: Assay, camera: CameraInfo) -> Plan:
    """The plan for what the settings and the assay ask; the field's size follows from camera and calibration."""
    section = settings.scan.region
    if section is None:
        raise PlanError(
            "It is not known where the specimen lies.",
            remedy="Give scan.region (centre and size in µm), or start the command with --twin.",
        )
    region = Region(section.x_um, section.y_um, section.width_um, section.height_um, Shape(section.shape))
    width_um = camera.width_px * settings.optics.um_per_px
    height_um = camera.height_px * settings.optics.um_per_px
    fields = settings.scan.fields or assay.reading.fields_to_read(width_um, height_um)
    return make_plan(assay.name, region, width_um, height_um, fields=fields, overlap=settings.scan.overlap)


def _rules(settings: Settings, assay: Assay, package: EnginePackage) -> ReadingRules:
    return ReadingRules(
        targets=assay.labels.targets,
        count_from=package.operating_point.threshold,
        keep_from=package.manifest.report_threshold,
        keep_top=settings.scan.keep_top,
        keep_fields=settings.scan.keep_fields,
    )


def _second_planes(settings: Settings, assay: Assay, run: SlideRun, earlier: list[FieldRecord]) -> SecondPlanes | None:
    """As the assay says; those that an earlier start took are taken from their number."""
    if assay.reading.second_plane is None:
        return None
    taken = sum(record.second is not None for record in earlier)
    return SecondPlanes(assay.reading.second_plane, settings.focus, run.planned_fields, taken)


def _resumed_or_begun(
    journal: Journal, fresh: SlideRun, plan: Plan, order: Order
) -> tuple[SlideRun, list[FieldRecord]]:
    """The unfinished reading of this slide with the fields it has, or `fresh`, entered in the journal."""
    for run in journal.unfinished():
        if (run.accession, run.slide) != (fresh.accession, fresh.slide):
            continue
        if order.restart:
            journal.abandon(run.run_id, "restarted by the operator", order.operator)
            continue
        if changed := _changed(run, fresh):
            raise JournalError(
                f"Slide {run.slide} of {run.accession} has an unfinished reading with another {' and '.join(changed)}.",
                remedy="Scan with the settings of then to go on, or with --restart to give it up and begin anew.",
            )
        return journal.note_resumed(run.run_id, order.operator), journal.fields(run.run_id)
    journal.begin(fresh, plan.to_json())
    return fresh, []


def _changed(run: SlideRun, fresh: SlideRun) -> list[str]:
    """What makes two readings of one slide differ in what their fields mean."""
    same = {
        "assay": run.assay == fresh.assay,
        "version of the assay": run.extra.get("assay_version") == fresh.extra.get("assay_version"),
        "plan": run.plan_sha256 == fresh.plan_sha256,
        "engine": run.onnx_sha256 == fresh.onnx_sha256,
    }
    return [what for what, is_same in same.items() if not is_same]


def _new_run(
    journal: Journal,
    settings: Settings,
    assay: Assay,
    order: Order,
    plan: Plan,
    package: EnginePackage,
    backend: BackendInfo,
) -> SlideRun:
    extra = {"host": platform.node(), "python": platform.python_version(), "assay_version": assay.version}
    if order.volume_ml is not None:
        extra["volume_ml"] = f"{order.volume_ml:g}"
    return SlideRun(
        run_id=str(new_uuid7()),
        accession=order.accession,
        slide=order.slide,
        run=journal.next_run_number(order.accession, order.slide),
        assay=assay.name,
        magnification=settings.optics.magnification,
        na=settings.optics.na,
        um_per_px=settings.optics.um_per_px,
        field_width_um=plan.field_width_um,
        field_height_um=plan.field_height_um,
        planned_fields=len(plan.fields),
        plan_sha256=plan.sha256,
        engine=package.title,
        backend=f"{backend.kind}: {backend.runtime}",
        onnx_sha256=backend.onnx_sha256,
        settings_sha256=settings_sha256(settings),
        app_version=appliance.__version__,
        operator=order.operator,
        started_at=datetime.now(timezone.utc),
        extra=extra,
    )


def _conclude(
    journal: Journal,
    settings: Settings,
    assay: Assay,
    run: SlideRun,
    package: EnginePackage,
    report: Path,
    resumed: int,
) -> SlideReading:
    """The report first, so that no crash leaves a verdict without one; then verdict, audit and outbox row at once."""
    fields = journal.fields(run.run_id)
    findings = journal.findings(run.run_id)
    verdict = form_verdict(assay, run, fields, findings, package.operating_point)
    write_report(report_data(journal, run.run_id, verdict, assay.labels.targets, None), report)
    origin = Origin(
        site=settings.site,
        device=settings.device,
        session=journal.session,
        seq=journal.next_seq(),
        audit_head=journal.audit_head(),
        clock=read_clock(),
    )
    message = verdict_message(run, verdict, findings[:MESSAGE_FINDINGS], origin, datetime.now(timezone.utc))
    journal.finish(run.run_id, json.dumps(verdict_json(verdict)), message, run.operator)
    return SlideReading(run, verdict, fields, findings, message.key, report, resumed, settings.optics.dof_um)
