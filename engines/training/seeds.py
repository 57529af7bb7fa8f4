"""Which slide seeds serve what. The ranges never meet, so no slide is ever trained on and tested on.

Seeds below one million are left to users, tests and demonstrations: no network has seen such a slide.
"""

from __future__ import annotations

_SPAN = 1_000_000

TRAINING = range(1 * _SPAN, 2 * _SPAN)
VALIDATION = range(2 * _SPAN, 3 * _SPAN)
CALIBRATION = range(3 * _SPAN, 4 * _SPAN)
TEST = range(4 * _SPAN, 5 * _SPAN)
