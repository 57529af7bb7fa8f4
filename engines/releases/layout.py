"""Where things lie in a release folder and on a stick."""

from __future__ import annotations

STICK_FOLDER = "cytoscan-engines"
METADATA = "metadata"
TARGETS = "targets"
