"""Identifiers that sort by time and never repeat."""

from __future__ import annotations

import hashlib
import secrets
import time
from uuid import UUID

RANDOM_BITS = 74


def uuid7(unix_ms: int, random_bits: int) -> UUID:
    """UUID version 7 from a time (ms since 1970, UTC) and 74 random bits.

    Layout: 48 bits time, version 7, 12 random bits, variant 10, 62 random bits. Source: RFC 9562, section 5.7.
    Raises ValueError when either does not fit.
    """
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"unix_ms {unix_ms} does not fit 48 bits")
    if not 0 <= random_bits < 1 << RANDOM_BITS:
        raise ValueError(f"random_bits does not fit {RANDOM_BITS} bits")
    high, low = random_bits >> 62, random_bits & ((1 << 62) - 1)
    return UUID(int=unix_ms << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low)


def new_uuid7() -> UUID:
    """A UUID version 7 of now."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(RANDOM_BITS))


def idempotency_key(unique: UUID, device: str, accession: str, run: int) -> str:
    """The key by which the hub takes a slide's event once: UUIDv7, device, accession and run number.

    It travels in payloads only: an accession never stands in a topic.
    """
    return f"{unique}:{device}:{accession}:{run}"


def alarm_key(site: str, device: str, code: str, about: str) -> str:
    """The key of an alarm: the same trouble of the same device about the same thing is one alarm."""
    digest = hashlib.sha256(about.encode()).hexdigest()[:16]
    return f"alarm:{site}/{device}:{code}:{digest}"
