"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SettingsFile = Annotated[Path | None, typer.Option("--settings", help="Settings file (YAML).")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="One setting as section.key=value, e.g. scan.fields=80. Repeatable.")
]
