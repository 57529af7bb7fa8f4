"""`measured.json` beside a package, and the card that is written from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engines.errors import EngineError
from engines.package import EnginePackage
from engines.packaging import write_card
from engines.training.assess.card import card_text

MEASURED_FILE = "measured.json"


def read_measured(package: EnginePackage) -> dict[str, Any]:
    """What was measured of `package`. Raises EngineError when there is nothing, or it is of another network."""
    path = package.folder / MEASURED_FILE
    try:
        measured = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read: {error}.", remedy="Measure the package anew.") from error
    if measured.get("onnx_sha256") != package.manifest.onnx.sha256:
        raise EngineError(f"{path} is of another network.", remedy="Measure the package anew.")
    return measured


def write_measured(package: EnginePackage, measured: Mapping[str, Any]) -> None:
    """Write `measured`, as of this network, and the card anew."""
    measured = {**measured, "onnx_sha256": package.manifest.onnx.sha256}
    text = json.dumps(measured, indent=1, ensure_ascii=False)
    (package.folder / MEASURED_FILE).write_text(text + "\n", encoding="utf-8")
    write_card(package.folder, card_text(package, measured))
