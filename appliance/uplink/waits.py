"""How long to wait before trying again. Pure: `draw` is a random number in [0, 1), passed in."""

from __future__ import annotations

LONGEST_RECEIPT_WAIT_S = 900.0
LONGEST_RECONNECT_S = 60.0
LONGEST_ABSENT_S = 60.0


def _doubled(first_s: float, tries: int, longest_s: float) -> float:
    return min(first_s * 2.0 ** min(tries, 30), longest_s)


def receipt_wait_s(attempts: int, first_s: float, draw: float) -> float:
    """Time for the hub's receipt after the attempts-th publish (from 1): doubling, with 20 % jitter."""
    longest_s = max(LONGEST_RECEIPT_WAIT_S, first_s)
    return _doubled(first_s, attempts - 1, longest_s) * (0.9 + 0.2 * draw)


def reconnect_wait_s(failures: int, draw: float) -> float:
    """Pause before the next connection; half of it random, so that a fleet does not return at one instant."""
    return _doubled(0.5, failures, LONGEST_RECONNECT_S) * (0.5 + 0.5 * draw)


def absent_wait_s(tries: int, draw: float) -> float:
    """Pause before a message is offered again after the broker said that nobody listens; tries from 1."""
    return _doubled(1.0, tries - 1, LONGEST_ABSENT_S) * (0.5 + 0.5 * draw)
