"""A message on its way to the hub, before any transport knows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OutboxMessage:
    """One event for the hub.

    key: idempotency key; the hub takes each key once, however often it arrives.
    topic: where it is published. payload: UTF-8 JSON, the same bytes on every attempt.
    """

    key: str
    topic: str
    payload: bytes
