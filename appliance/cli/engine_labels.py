"""Labels and scale of an imported network, from options or from the assay's own engine."""

from __future__ import annotations

from appliance.assays.model import Assay
from appliance.errors import SettingsError
from engines.errors import BadPackage
from engines.package import Label, Manifest, Scale, load_package, shipped

_TOLERANCE = 0.1
_NO_OBJECT = "-"


def labels_for(assay: Assay, text: str | None, box_um: float | None, notes: list[str]) -> tuple[Label | None, ...]:
    """One label for each class of the network, None for a class that is no object.

    text: names by comma; None takes the labels of the engine that comes with the assay, and says so in `notes`.
    Raises SettingsError for names that the assay does not count, or when no target is among them.
    """
    known = _known(assay)
    if text is None:
        if known is None:
            raise SettingsError(f"No engine comes with the assay {assay.name}.", remedy="Name the classes: --labels.")
        notes.append(f"The classes are {', '.join(label.name for label in known.labels)}, in this order.")
        text = ",".join(label.name for label in known.labels)
    names = [part.strip() for part in text.split(",")]
    counted = (*assay.labels.targets, *assay.labels.cells)
    foreign = [name for name in names if name != _NO_OBJECT and name not in counted]
    if foreign or not any(name in assay.labels.targets for name in names):
        allowed = ", ".join(dict.fromkeys(counted))
        wrong = f"{foreign[0]!r} is not counted" if foreign else "no target is among them"
        raise SettingsError(
            f"--labels {text}: {wrong} in the assay {assay.name}.",
            remedy=f"Use {allowed}, and {_NO_OBJECT} for a class that is no object.",
        )
    return tuple(None if name == _NO_OBJECT else _label(assay, name, box_um, known, notes) for name in names)


def scale_for(assay: Assay, um_per_px: float | None, notes: list[str]) -> Scale:
    """The scale the network works at, ± 10 %; without `um_per_px` that of the assay's own engine, said in `notes`."""
    if um_per_px is not None:
        return Scale(
            native_um_per_px=um_per_px,
            min_um_per_px=round(um_per_px * (1 - _TOLERANCE), 5),
            max_um_per_px=round(um_per_px * (1 + _TOLERANCE), 5),
        )
    known = _known(assay)
    if known is None:
        raise SettingsError(f"No engine comes with the assay {assay.name}.", remedy="Give the scale: --um-per-px.")
    notes.append(f"The network was trained at about {known.scale.native_um_per_px:g} µm/px, as the assay's own engine.")
    return known.scale


def _known(assay: Assay) -> Manifest | None:
    try:
        return load_package(shipped(assay.name)).manifest
    except BadPackage:
        return None


def _label(assay: Assay, name: str, box_um: float | None, known: Manifest | None, notes: list[str]) -> Label:
    own = next((label for label in known.labels if label.name == name), None) if known else None
    if box_um is None and own is None:
        raise SettingsError(f"How large {name} is, is not known.", remedy="Give the side of its box: --box-um.")
    if box_um is None and own is not None:
        note = f"Objects are as large as those of the assay's own engine ({own.name}: {own.box_um[0]:g} µm)."
        if note not in notes:
            notes.append(note)
        return own
    side = box_um or 0.0
    return Label(name=name, target=name in assay.labels.targets, box_um=(side, side), separation_um=side / 3)
