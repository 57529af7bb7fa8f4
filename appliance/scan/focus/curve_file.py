"""The axial curve of a device on disk: measured by `cytoscan calibrate focus`, used by every scan from then on."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from appliance.errors import SettingsError
from appliance.scan.focus.axial import AxialCurve
from appliance.scan.focus.bands import FEATURES
from appliance.scan.focus.optics import FocusOptics

_FORMAT = 4
_SAME_SCALE = 0.02
_REMEDY = "Measure it again with `cytoscan calibrate focus`."


def save_curve(path: Path, curve: AxialCurve) -> None:
    """Write a curve so that a reader sees the old one or the new one, never a part; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as stream:
        np.savez_compressed(
            stream,
            format=_FORMAT,
            offset_um=curve.offset_um,
            mean=curve.mean.astype(np.float32),
            covariance=curve.covariance.astype(np.float32),
            optics=np.array([curve.optics.na, curve.optics.um_per_px]),
            temper=curve.temper,
            height_um=curve.height_um,
        )
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)


def load_curve(path: Path, optics: FocusOptics) -> AxialCurve | None:
    """The curve in a file, or None where there is no file.

    Raises SettingsError when it cannot be read, has another format, or was measured with other optics.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            written = int(held["format"])
            na, um_per_px = (float(value) for value in held["optics"])
            temper, height_um = (float(held[name]) if written == _FORMAT else 0.0 for name in ("temper", "height_um"))
            offset, mean, covariance = (held[name].astype(np.float64) for name in ("offset_um", "mean", "covariance"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SettingsError(f"The focus curve {path} cannot be read: {error}.", remedy=_REMEDY) from error
    if written != _FORMAT or mean.shape != (offset.size, FEATURES) or covariance.shape != (*mean.shape, FEATURES):
        raise SettingsError(f"The focus curve {path} is not of this version.", remedy=_REMEDY)
    if not (_same(na, optics.na) and _same(um_per_px, optics.um_per_px)):
        raise SettingsError(
            f"The focus curve {path} was measured at NA {na:g} and {um_per_px:g} µm/px; in force are {optics.na:g} and "
            f"{optics.um_per_px:g}.",
            remedy=_REMEDY,
        )
    return AxialCurve(offset, mean, covariance, FocusOptics(na, um_per_px), temper, height_um)


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME_SCALE * abs(other)
