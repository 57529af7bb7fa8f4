"""Counts, fields and provenance as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.records import SlideRun
from appliance.report.text import number, short, when, whole, words
from appliance.verdict.model import CountEstimate, Verdict

_RECEIPTS = {
    "accepted": "Received by the hub",
    "duplicate": "Received by the hub (it had this verdict already)",
    "rejected": "Rejected by the hub: see the device's log",
}
_ASSAYS = {"serous": "Serous effusion cytology", "afb": "Acid-fast bacilli in sputum"}


@dataclass(frozen=True)
class CountRow:
    """One line of the counts table."""

    name: str
    n: str
    interval: str
    density: str
    density_interval: str


@dataclass(frozen=True)
class Part:
    """One part of the fields bar: style class, name, number, share of the plan in per cent."""

    key: str
    name: str
    count: int
    percent: float


def counts_of(verdict: Verdict) -> tuple[CountRow, ...]:
    """Counts with intervals, per slide and per mm² of usable area."""
    return tuple(_count_row(name, count, verdict.area_mm2) for name, count in verdict.counts.items())


def _count_row(name: str, count: CountEstimate, area_mm2: float) -> CountRow:
    read = area_mm2 > 0
    return CountRow(
        name=words(name),
        n=whole(count.n),
        interval=f"{number(count.low)} to {number(count.high)}",
        density=number(count.per_mm2) if read else "–",
        density_interval=f"{number(count.low / area_mm2)} to {number(count.high / area_mm2)}" if read else "–",
    )


def parts_of(verdict: Verdict) -> tuple[Part, ...]:
    """The plan divided by what became of its fields; the parts fill the bar."""
    tally = verdict.fields
    whole = max(tally.planned, tally.captured, 1)
    counted = (
        ("ok", "Usable", tally.usable),
        ("b", "Blank", tally.blank),
        ("f", "Failed", tally.failed),
        ("no", "Not needed" if verdict.stopped_early else "Not captured", max(tally.planned - tally.captured, 0)),
    )
    return tuple(Part(key, name, n, 100.0 * n / whole) for key, name, n in counted)


def receipt_text(receipt: str | None) -> str:
    """What became of the verdict's message."""
    if receipt is None:
        return "Not yet confirmed by the hub"
    return _RECEIPTS.get(receipt, words(receipt))


def assay_name(assay: str) -> str:
    """The assay in words."""
    return _ASSAYS.get(assay, words(assay))


def identity_of(run: SlideRun) -> tuple[tuple[str, str], ...]:
    """The facts of the header."""
    resumed = f", resumed {run.resumed} time{'s' if run.resumed > 1 else ''}" if run.resumed else ""
    return (
        ("Accession", run.accession),
        ("Slide", run.slide),
        ("Run", f"{run.run}{resumed}"),
        ("Assay", assay_name(run.assay)),
        ("Optics", f"{run.magnification}×, NA {short(run.na)}, {short(run.um_per_px)} µm per pixel"),
        ("Started", when(run.started_at)),
        ("Operator", run.operator or "not recorded"),
        ("Run id", run.run_id),
    )


def provenance_of(run: SlideRun, verdict: Verdict) -> tuple[tuple[str, str, str], ...]:
    """What made the verdict: name, value, and the full value where the shown one is shortened."""
    facts: list[tuple[str, str, str]] = [
        ("Grading table", verdict.table, ""),
        ("Operating point", verdict.operating_point, ""),
        ("Engine", run.engine, ""),
        ("Network (ONNX, SHA-256)", run.onnx_sha256[:12], run.onnx_sha256),
        ("Backend", run.backend, ""),
        ("Settings (SHA-256)", run.settings_sha256[:12], run.settings_sha256),
        ("Plan (SHA-256)", run.plan_sha256[:12], run.plan_sha256),
        ("Application", f"cytoscan-appliance {run.app_version}", ""),
        ("Field of view", f"{number(run.field_width_um)} × {number(run.field_height_um)} µm", ""),
    ]
    facts += [(words(key), value, "") for key, value in sorted(run.extra.items()) if key not in verdict.figures]
    return tuple(facts)
