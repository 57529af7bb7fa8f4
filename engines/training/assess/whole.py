"""Figures of whole slides and of speed, from the files that the application's benches write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engines.errors import EngineError

_REWRITTEN = "onnxruntime, rewritten"


def whole_figures(
    onnx_sha256: str, assay: str, *, witness: Path | None, grades: Path | None, speed: Path | None
) -> dict[str, Any]:
    """What a card says of slides and speed. witness, grades, speed: results of those benches, where there are any.

    Raises EngineError when a file is not what its bench writes, or when its speed is that of another network.
    """
    figures: dict[str, Any] = {}
    try:
        if witness is not None:
            figures["witness"] = _witness(json.loads(witness.read_text(encoding="utf-8")))
        if grades is not None:
            figures["grades"] = _grades(json.loads(grades.read_text(encoding="utf-8")))
        if speed is not None:
            figures["speed"] = _speed(json.loads(speed.read_text(encoding="utf-8"))["assays"][assay], onnx_sha256)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineError(
            f"A bench's result cannot be read: {error!r}.", remedy="Write it again with --json of that bench."
        ) from error
    return figures


def _witness(result: dict[str, Any]) -> dict[str, Any]:
    shares = ",".join(f"{row['share']:g}" for row in result["rows"])
    command = (
        f"cytoscan bench witness --slides {result['negatives']} --fields {result['fields']} "
        f"--seed {result['verdicts'][0]['seed']} --shares {shares}"
    )
    return {"command": command, **{key: value for key, value in result.items() if key not in {"assay", "verdicts"}}}


def _grades(result: dict[str, Any]) -> dict[str, Any]:
    command = (
        f"cytoscan bench grades --slides {result['slides']} --fields {result['fields_of_a_negative']} "
        f"--seed {result['verdicts'][0]['seed']} --magnification {result['magnification']}"
    )
    return {"command": command, **{key: value for key, value in result.items() if key != "verdicts"}}


def _speed(figures: dict[str, Any], onnx_sha256: str) -> dict[str, Any]:
    if figures["onnx_sha256"] != onnx_sha256:
        raise EngineError("The speed is that of another network.", remedy="Run `cytoscan bench engine` again.")
    openvino = figures["onnxruntime_vs_openvino_1_thread"]
    rows = {
        "ONNX Runtime, rewritten, 1 thread, ms of processor time": round(figures["ms_1_thread"][_REWRITTEN], 1),
        "times as fast as FP32, 1 thread": round(figures["onnxruntime_vs_fp32_1_thread"], 2),
        "times as fast as OpenVINO on the same file, 1 thread": round(openvino, 2) if openvino else "not installed",
        "ONNX Runtime, rewritten, 2 threads, ms": round(figures["wall_ms_2_threads"][_REWRITTEN], 1),
        "peak memory of the process, MB": round(figures["peak_mb_by_runtime"][_REWRITTEN]),
    }
    return {
        "command": f"cytoscan bench engine --rounds {figures['rounds']}",
        "machine": figures["choice"]["machine"],
        "rows": rows,
    }
