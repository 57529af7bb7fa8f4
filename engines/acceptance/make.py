"""Make golden fields of pictures: what the package's network says of them on the reference runtime is written down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from engines.acceptance.compare import findings, identical
from engines.acceptance.errors import BadGolden
from engines.acceptance.golden import GOLDEN, Expected, FieldFile, Golden, GoldenFile, Limits, PictureFile, load_golden
from engines.durable import write_file
from engines.package import EnginePackage
from engines.scorer import Detection

Score = Callable[[NDArray[np.uint8], float], Sequence[Detection]]
"""`engines.onnx_cpu.OnnxCpuScorer.score` of the package."""

_CHOOSE = "Choose other pictures."
_GLASS_PERCENT = 95
"""Of a picture's values; in a crowded field the median is the colour of cells."""


class Picture(NamedTuple):
    """pixels: uint8 RGB (H, W, 3). name: of the file, without its end."""

    name: str
    pixels: NDArray[np.uint8]
    um_per_px: float


def make_golden(
    package: EnginePackage,
    pictures: Sequence[tuple[str, NDArray[np.uint8], float]],
    out: Path,
    score: Score,
    limits: Limits | None = None,
) -> Golden:
    """Write golden fields of at least two pictures into folder `out`, and read them back verified.

    pictures: name, uint8 RGB (H, W, 3), µm/px, see `Picture`; of the camera's size, as a GPU's engine is built for one.
    score: the reference. limits: by default those of `Limits`. Raises BadGolden for pictures that decide nothing, and
    where there are golden fields already; NotWritten; what the reference raises.
    """
    if (out / GOLDEN).exists():
        raise BadGolden(f"There are golden fields in {out} already.", remedy="Remove them, or name another folder.")
    limits = limits or Limits(match_radius_px=_radius_px(package))
    given = [Picture(*one) for one in pictures]
    said = [score(one.pixels, one.um_per_px) for one in given]
    if identical(said):
        raise BadGolden("The network says exactly the same of two of the pictures.", remedy=_CHOOSE)
    empty = _empty_beside(package, given, said, score)
    files = {one.name: _png(one) for one in (*given, empty)}
    try:
        content = GoldenFile(
            schema=1,
            onnx_sha256=package.manifest.onnx.sha256,
            limits=limits,
            empty=PictureFile(**_described(empty, files)),
            fields=tuple(
                FieldFile(**_described(one, files), expected=tuple(map(_expected, detections)))
                for one, detections in zip(given, said, strict=True)
            ),
        )
    except ValidationError as error:
        raise BadGolden(f"The pictures make no golden fields: {error.errors()[0]['msg']}.", remedy=_CHOOSE) from error
    for name, data in files.items():
        write_file(out / f"{name}.png", data)
    told = content.model_dump(by_alias=True, mode="json")
    text = yaml.safe_dump(told, sort_keys=False, default_flow_style=None, width=110)
    write_file(out / GOLDEN, text.encode())  # last: a folder without it holds no golden fields
    return load_golden(out)


def _radius_px(package: EnginePackage) -> float:
    """What the network itself takes for one object, and at least two of its cells."""
    manifest = package.manifest
    separation_um = max(label.separation_um for label in manifest.labels)
    return max(2.0 * manifest.output.stride, separation_um / manifest.scale.native_um_per_px)


def _empty_beside(
    package: EnginePackage, pictures: Sequence[Picture], said: Sequence[Sequence[Detection]], score: Score
) -> Picture:
    """The fullest picture without its objects: all of it in the colour of bare glass, which few objects outshine."""
    threshold = package.operating_point.threshold
    counts = [findings(detections, threshold).total() for detections in said]
    if not any(counts):
        raise BadGolden("The network finds nothing in any of the pictures.", remedy=_CHOOSE)
    full = pictures[int(np.argmax(counts))]
    glass = np.percentile(full.pixels.reshape(-1, 3), _GLASS_PERCENT, axis=0).astype(np.uint8)
    empty = Picture("empty", np.broadcast_to(glass, full.pixels.shape).copy(), full.um_per_px)
    if findings(score(empty.pixels, empty.um_per_px), threshold):
        raise BadGolden(f"The network has findings where picture {full.name!r} was emptied.", remedy=_CHOOSE)
    return empty


def _png(picture: Picture) -> bytes:
    _, data = cv2.imencode(".png", picture.pixels[:, :, ::-1])
    return data.tobytes()


def _described(picture: Picture, files: dict[str, bytes]) -> dict[str, Any]:
    digest = hashlib.sha256(files[picture.name]).hexdigest()
    return {"file": f"{picture.name}.png", "sha256": digest, "um_per_px": picture.um_per_px}


def _expected(one: Detection) -> Expected:
    return Expected(
        label=one.label, x_px=round(one.x_px, 3), y_px=round(one.y_px, 3), probability=round(one.probability, 6)
    )
