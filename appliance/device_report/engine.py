"""Sections about the engine: how it was built here, and how it reads golden fields."""

from __future__ import annotations

from appliance.device_report.section import GOLDEN, GPU, Check, Fact, Section, Table
from engines.acceptance.report import Report
from engines.building.record import BuildRecord


def build_section(record: BuildRecord) -> Section:
    """Of an engine that was built and opened."""
    frame, layers = record.frame, record.layers
    checks = (
        Check(True, f"An engine was built in a folder of its own, in {record.seconds:.0f} s, and opened."),
        Check(layers.int8 > 0, f"It runs {layers}."),
    )
    facts = (
        Fact("seconds", "Build took", record.seconds, "s"),
        Fact("layers_int8", "Layers in INT8", layers.int8),
        Fact("layers", "Layers", layers.layers),
        Fact("tensorrt", "TensorRT", record.tensorrt),
        Fact("frame_px", "For frames of", f"{frame.width_px}x{frame.height_px}", "px"),
        Fact("onnx_sha256", "Network, SHA-256", record.onnx_sha256),
        Fact("plan_sha256", "Engine, SHA-256", record.plan_sha256),
    )
    messages = Table("messages", "What TensorRT said", {"message": "Message"}, tuple((one,) for one in record.messages))
    return Section(GPU, checks, facts, (messages,))


def golden_section(report: Report) -> Section:
    """All checks of the acceptance, with their figures."""
    checks = tuple(Check(one.passed, one.sentence) for one in report.checks)
    facts = (
        Fact("fields", "Fields, drawn by the twin", report.fields),
        Fact("reference", "Compared on this device with", report.reference or "nothing else"),
    )
    columns = {"name": "Check", "measured": "Measured", "limit": "Limit"}
    rows = tuple((one.name, one.measured, one.limit) for one in report.checks)
    return Section(GOLDEN, checks, facts, (Table("figures", "Figures", columns, rows, folded=True),))
