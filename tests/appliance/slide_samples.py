"""Slides, fields and verdicts to be recorded and sent in tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from appliance.journal import Journal
from appliance.messages import ClockStatus, Origin, OutboxMessage, verdict_message
from appliance.records import FieldRecord, Finding, FocusResult, ImageQuality, Outcome, SlideRun
from appliance.verdict.model import CountEstimate, FieldTally, Verdict

NOW = datetime(2026, 11, 23, 2, 0, 0, 123456, tzinfo=timezone.utc)


class Samples:
    """Slides, fields and verdicts to be recorded and sent."""

    now = NOW

    def run(self, number: int = 1, **changes: object) -> SlideRun:
        run = SlideRun(
            run_id=f"run-{number}",
            accession="S26-001234",
            slide="A1",
            run=number,
            assay="serous",
            magnification=450,
            na=0.5,
            um_per_px=0.293,
            field_width_um=564.904,
            field_height_um=353.944,
            planned_fields=60,
            plan_sha256="a" * 64,
            engine="serous-1.0.0",
            backend="onnxruntime 1.23.2 CPU",
            onnx_sha256="b" * 64,
            settings_sha256="c" * 64,
            app_version="0.1.0",
            operator="u:4711",
            started_at=NOW,
            extra={"region": "circle"},
        )
        return replace(run, **changes)  # type: ignore[arg-type]

    def field(self, index: int, outcome: Outcome = Outcome.USABLE) -> FieldRecord:
        quality = ImageQuality((231.0, 229.5, 240.1), 0.0, 0.71, 0.123456789, 0.0, 7.3)
        return FieldRecord(
            index=index,
            x_um=38000.0 + index / 3,
            y_um=13000.0 - index / 7,
            outcome=outcome,
            reason="" if outcome is Outcome.USABLE else "nothing on it",
            focus=FocusResult(3001.7, 0.21, 0.93, "bracketed", 3, 3001.2),
            quality=quality if outcome is Outcome.USABLE else None,
            counts={"mesothelial": 280, "malignant": 20},
            seconds={"move": 0.21, "settle": 0.06, "focus": 0.31, "expose": 0.02, "score": 0.4, "host": 0.01},
            recorded_at=NOW,
        )

    def findings(self, index: int, count: int) -> list[Finding]:
        return [
            Finding(
                field_index=index,
                label="malignant" if n % 15 == 0 else "mesothelial",
                probability=((n * 7919 + index * 104729) % 10007) / 10007,
                x_um=38000.0 + n / 3,
                y_um=13000.0 + n / 7,
                z_um=3001.7,
                x_px=n * 6.4 + 0.1,
                y_px=n * 4.0 + 0.3,
                width_px=41.7,
                height_px=39.3,
            )
            for n in range(count)
        ]

    def verdict(self, **changes: object) -> Verdict:
        verdict = Verdict(
            assay="serous",
            category="AUS",
            title="Atypia of undetermined significance",
            reasons=("Few atypical cells.",),
            provisional=False,
            score=0.41,
            table="TIS 2020",
            operating_point="serous-1.0.0/t1",
            counts={"malignant": CountEstimate(3, 0.6, 8.8, 0.3)},
            fields=FieldTally(60, 60, 58, 1, 1),
            area_mm2=11.6,
            figures={"cells_per_mm2": 812.5},
            flags=("low_cellularity",),
        )
        return replace(verdict, **changes)  # type: ignore[arg-type]

    def message(self, run: SlideRun, seq: int = 1, device: str = "twin-1") -> OutboxMessage:
        origin = Origin("lab", device, "session-1", seq, "0" * 64, ClockStatus(synced=True, source="kernel"))
        return verdict_message(run, self.verdict(), self.findings(0, 3), origin, NOW)

    def finished(self, journal: Journal, number: int, device: str = "twin-1") -> OutboxMessage:
        """Begin and finish a slide; its message, which stands in the outbox then."""
        run = self.run(number)
        journal.begin(run, "{}")
        message = self.message(run, journal.next_seq(), device)
        journal.finish(run.run_id, '{"category": "AUS"}', message)
        return message
