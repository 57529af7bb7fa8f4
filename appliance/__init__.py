"""The CytoScan appliance: scan a slide, score it, give a verdict, report it. Research use only."""

from __future__ import annotations

from datetime import datetime, timezone

__version__ = "0.1.0"
RELEASED = datetime(2026, 11, 28, tzinfo=timezone.utc)
"""A time that has surely passed, whatever a device's clock says."""
