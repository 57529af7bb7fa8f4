"""Numbers, times and names as a reader wants to see them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timezone

_UPPER = frozenset({"afb", "cpu", "hpf", "cdc", "who", "iuatld", "od", "na", "tis", "rgb", "ci", "z", "id"})
_UNITS = (  # longest suffix first
    ("_per_100_hpf_raw", "per 100 HPF"),
    ("_per_100_hpf", "per 100 HPF"),
    ("_per_mm2", "per mm²"),
    ("_per_hpf", "per HPF"),
    ("_mm2", "mm²"),
    ("_mrad", "mrad"),
    ("_percent", "%"),
    ("_um", "µm"),
    ("_mm", "mm"),
    ("_ml", "mL"),
    ("_ms", "ms"),
    ("_s", "s"),
)
_SHARES = ("_share", "_fraction")
MISSING = "not known"
THIN = "\u202f"
_MOST_DECIMALS = 8


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits, plain notation, thin spaces between thousands."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    if decimals > _MOST_DECIMALS:
        return "below 0.000001"
    return f"{'−' if value < 0 else ''}{abs(value):,.{decimals}f}".replace(",", THIN)


def short(value: float, digits: int = 4) -> str:
    """A number that is round by nature (a scale, a step, a setting), without trailing zeros."""
    text = whole(round(value)) if float(value).is_integer() else number(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def whole(value: int) -> str:
    """A count, thin spaces between thousands."""
    return f"{value:,}".replace(",", THIN)


def fixed(value: float | None, decimals: int) -> str:
    """A number with a fixed count of decimals and a real minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:,.{decimals}f}".replace(",", THIN)
    return text.replace("-", "−") if float(f"{value:.{decimals}f}") else text.lstrip("-")


def signed(value: float, decimals: int) -> str:
    """A number with its sign always shown; zero has none."""
    text = fixed(value, decimals)
    return text if text.startswith("−") or not float(f"{value:.{decimals}f}") else f"+{text}"


def percent(share: float | None) -> str:
    """A share (0 to 1) as per cent."""
    if share is None:
        return MISSING
    value = 100.0 * share
    return f"{number(value, 2 if abs(value) < 10 else 3)} %"


def when(moment: datetime) -> str:
    """Date and time in UTC, to the minute; records without a zone are UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def words(name: str) -> str:
    """A machine name as words: `low_cellularity` becomes "Low cellularity", `afb` "AFB"."""
    parts = [p.upper() if p in _UPPER else p for p in name.replace("-", " ").replace("_", " ").split()]
    text = " ".join(parts)
    return text[:1].upper() + text[1:]


def figure(name: str, value: float) -> tuple[str, str, str]:
    """Name, value and unit of a figure that carries its unit: `area_mm2`, 1.5 gives ("Area", "1.5", "mm²")."""
    for suffix in _SHARES:
        if name.endswith(suffix):
            return words(name), short(100.0 * value, 3), "%"
    for suffix, unit in _UNITS:
        if name.endswith(suffix) and len(name) > len(suffix):
            return words(name[: -len(suffix)]), short(value, 3), unit
    return words(name), short(value, 3), ""


def ranges(indices: Iterable[int]) -> str:
    """Field numbers, runs joined: 3, 4, 5, 9 gives "3–5, 9"."""
    runs: list[list[int]] = []
    for index in sorted(set(indices)):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def css_string(text: str) -> str:
    """A CSS string literal that is safe inside a style element: all but plain letters and digits is escaped."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):x} " for c in text) + '"'
