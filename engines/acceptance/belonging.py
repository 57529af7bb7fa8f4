"""Whether golden fields are those of a package: asked when a release is made, and again before an engine is tried."""

from __future__ import annotations

from engines.acceptance.checks import full
from engines.acceptance.errors import BadGolden
from engines.acceptance.golden import Golden
from engines.package import EnginePackage
from engines.tensorrt.signature import FrameSize, signature


def check_belongs(package: EnginePackage, golden: Golden) -> None:
    """Raises BadGolden for golden fields of another network, labels or scale, and for those that show no finding."""
    if why := _foreign(package, golden):
        raise BadGolden(why, remedy="Have the release made again, with golden fields that were made of this package.")
    if not any(full(field.expected, package) for field in golden.fields):
        raise BadGolden(
            f"In the golden fields of {package.title} there is nothing to be found.",
            remedy="Have the release made again, with golden fields that show what the package looks for.",
        )


def check_sizes(package: EnginePackage, golden: Golden, frame: FrameSize) -> None:
    """Raises BadGolden for golden fields that an engine of the package, built for such frames, cannot read."""
    for field in (golden.empty, *golden.fields):
        height_px, width_px = field.picture.shape[:2]
        if signature(package, FrameSize(height_px, width_px)) != signature(package, frame):
            raise BadGolden(
                f"The golden field {field.name} of {package.title} has {width_px}x{height_px} px; this device's camera "
                f"gives {frame.width_px}x{frame.height_px} px.",
                remedy="Have the release made with golden fields of this camera's size.",
            )


def _foreign(package: EnginePackage, golden: Golden) -> str:
    """What does not fit the package; empty where all does."""
    manifest = package.manifest
    if golden.onnx_sha256 != manifest.onnx.sha256:
        return (
            f"The golden fields are of the network {golden.onnx_sha256[:12]}…; {package.title} has "
            f"{manifest.onnx.sha256[:12]}…."
        )
    labels = {label.name for label in manifest.labels}
    if unknown := sorted({one.label for field in golden.fields for one in field.expected} - labels):
        return f"The golden fields expect {', '.join(unknown)}; {package.title} finds {', '.join(sorted(labels))}."
    scale = manifest.scale
    for field in (golden.empty, *golden.fields):
        if not scale.min_um_per_px <= field.um_per_px <= scale.max_um_per_px:
            return (
                f"The golden field {field.name} has {field.um_per_px:.4g} µm/px; {package.title} was made for "
                f"{scale.min_um_per_px:.4g} to {scale.max_um_per_px:.4g} µm/px."
            )
    return ""
