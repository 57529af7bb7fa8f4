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

    Raises EngineError when a file is not what its bench writes, or when it is of another network.
    """
    figures: dict[str, Any] = {}
    try:
        if witness is not None:
            figures["witness"] = _witness(_of_slides(witness, onnx_sha256))
        if grades is not None:
            figures["grades"] = _grades(_of_slides(grades, onnx_sha256))
        if speed is not None:
            of_assay = _read(speed)["assays"][assay]
            _check_network(of_assay["onnx_sha256"], onnx_sha256, speed.name)
            figures["speed"] = _speed(of_assay)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineError(
            f"A bench's result cannot be read: {error!r}.", remedy="Write it again with --json of that bench."
        ) from error
    return figures


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _of_slides(path: Path, onnx_sha256: str) -> dict[str, Any]:
    result = _read(path)
    for verdict in result["verdicts"]:
        _check_network(verdict["onnx_sha256"], onnx_sha256, path.name)
    return result


def _check_network(measured: str, onnx_sha256: str, what: str) -> None:
    if measured != onnx_sha256:
        raise EngineError(f"{what} is of another network.", remedy="Run that bench again with this package.")


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


def _speed(figures: dict[str, Any]) -> dict[str, Any]:
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
