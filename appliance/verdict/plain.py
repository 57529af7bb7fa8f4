"""A verdict as plain JSON data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from appliance.verdict.model import Verdict

_ADAPTER = TypeAdapter(Verdict)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Plain dicts, lists, strings and finite numbers; `json.dumps` takes it as it is."""
    data = asdict(verdict)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}


def verdict_from_json(data: Mapping[str, Any]) -> Verdict:
    """The verdict that `verdict_json` wrote. Raises ValueError naming what does not fit."""
    try:
        verdict = _ADAPTER.validate_python(dict(data))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}" for detail in error.errors()
        )
        msg = f"this is no verdict: {problems}"
        raise ValueError(msg) from error
    # The adapter drops unknown keys and bends types; a verdict must come back exactly as it was sent.
    back = verdict_json(verdict)
    changed = sorted(name for name in back.keys() | data.keys() if name not in data or back.get(name) != data[name])
    if changed:
        msg = f"this is no verdict: {', '.join(changed)} would not come back unchanged"
        raise ValueError(msg)
    return verdict
