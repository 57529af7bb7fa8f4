"""From a field that was read to its rows in the journal: record, findings, and the pictures that are kept."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.journal import SecondSeen, utc_now
from appliance.records import FieldRecord, Finding, SecondPlane, SlideRun
from appliance.scan.best import BestSoFar
from appliance.scan.captures import Capture
from appliance.scan.crop import crop_jpeg, encode_jpeg
from appliance.scan.events import FieldDone, SecondPlaneDone
from appliance.scan.interpret import Interpretation, Judged, ReadingRules, interpret
from appliance.scan.plan import PlannedField
from appliance.scan.planes import TwoPlanes, read_together
from appliance.scan.second_plane import Again, SecondCapture, SecondPlanes
from drivers.camera.colour import to_rgb
from engines.scorer import Detection


@dataclass(frozen=True)
class Read:
    """A picture that was read. rgb: uint8 (H, W, 3). detections: none where it cannot be read."""

    rgb: NDArray[np.uint8]
    judged: Judged
    detections: Sequence[Detection]


class FieldSink(Protocol):
    """Where recorded fields go: `appliance.journal.Journal`."""

    def record_field(
        self,
        run_id: str,
        record: FieldRecord,
        findings: Sequence[Finding] = (),
        pictures: Mapping[int, bytes] | None = None,
        keep_top: int = 0,
        *,
        field_picture: bytes | None = None,
    ) -> None:
        """One transaction; raises JournalError."""

    def record_second_plane(self, run_id: str, record: FieldRecord, seen: SecondSeen, keep_top: int = 0) -> None:
        """One transaction; raises JournalError."""


class Recorder:
    """Records the fields of one run; one owner thread. planes: as for `Reader`. Raises JournalError."""

    def __init__(self, run: SlideRun, sink: FieldSink, rules: ReadingRules, planes: SecondPlanes | None) -> None:
        self._run = run
        self._sink = sink
        self._rules = rules
        self._planes = planes
        self._best = BestSoFar(rules.keep_top)

    def record(self, capture: Capture, read: Read | None, seconds: float) -> FieldDone:
        """A field. read: None when it has no picture. seconds: that reading it took until now."""
        start = time.perf_counter()
        planned = capture.planned
        said = None if read is None else self._said(read, planned, capture.focus.z_um)
        findings = () if said is None else said.findings
        pictures = {} if read is None else self._pictures(read.rgb, findings)
        field_picture = encode_jpeg(read.rgb) if read is not None and self._rules.keep_fields else None
        record = FieldRecord(
            index=planned.index,
            x_um=planned.x_um,
            y_um=planned.y_um,
            outcome=said.outcome if said else capture.outcome,
            reason=said.reason if said else capture.reason,
            focus=capture.focus,
            quality=said.quality if said else None,
            counts=said.counts if said else {},
            seconds={**capture.seconds, "score": seconds + time.perf_counter() - start},
            recorded_at=utc_now(),
        )
        self._sink.record_field(
            self._run.run_id, record, findings, pictures, self._rules.keep_top, field_picture=field_picture
        )
        if self._planes is not None and capture.frame is not None and read is not None and said is not None:
            self._planes.consider(read.rgb, planned, capture.frame, said, record, self._run.um_per_px)
        return FieldDone(record, findings, capture.frame.frame_id if capture.frame else None, capture.meter)

    def record_again(self, capture: SecondCapture, read: Read | None, seconds: float) -> SecondPlaneDone:
        """A field's second plane; as `record`."""
        start = time.perf_counter()
        again, first = capture.again, capture.again.record
        seen, counts, reason = SecondSeen(), first.counts, capture.reason
        if read is not None and self._planes is not None:
            said = self._said(read, again.planned, again.z_um)
            both = read_together(again.read, said, self._rules, self._planes.rule.same_within_um, self._run.um_per_px)
            pictures, others = self._pictures_of_both(again, read.rgb, both)
            seen = SecondSeen(said.findings, both.seen_better, pictures, others)
            counts, reason = both.counts, said.reason
        spent = {**capture.meter.seconds, "score": seconds + time.perf_counter() - start}
        second = SecondPlane(again.z_um, reason, capture.meter.exposures, spent)
        record = replace(first, counts=counts, second=second)
        self._sink.record_second_plane(self._run.run_id, record, seen, self._rules.keep_top)
        frame_id = capture.frame.frame_id if capture.frame else None
        return SecondPlaneDone(first, record, seen.findings, frame_id, capture.meter)

    def _said(self, read: Read, planned: PlannedField, z_um: float) -> Interpretation:
        return interpret(read.judged, read.detections, planned, z_um, run=self._run, rules=self._rules)

    def _pictures(self, rgb: NDArray[np.uint8], findings: Sequence[Finding]) -> dict[int, bytes]:
        """Pictures of the findings that may still be among the slide's best; the journal evicts the others."""
        return {
            position: crop_jpeg(rgb, finding, self._run.um_per_px)
            for position, finding in enumerate(findings)
            if self._best.takes(finding.probability)
        }

    def _pictures_of_both(
        self, again: Again, second: NDArray[np.uint8], both: TwoPlanes
    ) -> tuple[dict[int, bytes], dict[int, tuple[float, bytes]]]:
        """Of objects that the second plane shows, the place in either plane: in the finding's own, and in the other."""
        first, start = to_rgb(again.frame), len(again.read.findings)
        twice = {*both.seen_better, *both.seen_better.values()}
        for position in twice:
            if position < start:
                self._best.forget(both.findings[position].probability)
        pictures, others = {}, {}
        for position, finding in enumerate(both.findings):
            shown = (position >= start or position in twice) and position not in both.seen_better
            if not shown or not self._best.takes(finding.probability):
                continue
            own, other = (first, second) if position < start else (second, first)
            other_um = again.z_um if position < start else again.record.focus.z_um
            pictures[position] = crop_jpeg(own, finding, self._run.um_per_px)
            others[position] = (other_um, crop_jpeg(other, finding, self._run.um_per_px))
        return pictures, others
