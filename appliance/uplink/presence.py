"""What the sender says of its device: state, health and alarms."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from appliance.errors import ApplianceError
from appliance.journal import Outbox, OutboxMessage
from appliance.messages.clock import read_clock
from appliance.messages.device import (
    AlarmBody,
    HealthBody,
    OutboxBody,
    StateBody,
    TrafficBody,
    alarm_message,
    health_message,
    state_message,
)
from appliance.messages.ids import alarm_key
from appliance.messages.topics import Topics
from appliance.uplink.traffic import SenderStatus


@dataclass(frozen=True)
class Presence:
    """Composes the messages about the device itself.

    session: this run of the sender. started_s, clock: seconds since 1970 (UTC).
    """

    topics: Topics
    session: str
    app_version: str
    engine: str | None
    backend: str | None
    started_s: float
    clock: Callable[[], float]

    def state(self, status: Literal["online", "offline"], seq0: int) -> bytes:
        """The state to be retained, or left as last will."""
        body = StateBody(
            status=status,
            session=self.session,
            seq0=seq0,
            app_version=self.app_version,
            engine=self.engine,
            backend=self.backend,
            started_at=_utc(self.started_s),
        )
        return state_message(self.topics, body, _utc(self.clock())).payload()

    def health(self, outbox: Outbox, traffic: SenderStatus) -> bytes:
        """How the device fares now. Raises JournalError when the outbox cannot be read."""
        now_s = self.clock()
        waiting = outbox.status(now_s)
        body = HealthBody(
            session=self.session,
            uptime_s=max(now_s - self.started_s, 0.0),
            load_1min=os.getloadavg()[0],
            memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
            disk_free_mb=_free_mb(outbox.path),
            clock=read_clock(),
            outbox=OutboxBody(pending=waiting.pending, parked=waiting.parked, oldest_s=waiting.oldest_s),
            traffic=TrafficBody(
                connections=traffic.connections,
                published=traffic.published,
                receipts=traffic.receipts,
                refused=traffic.refused,
                hub_present=traffic.hub_present,
                last_problem=traffic.last_problem,
            ),
        )
        return health_message(self.topics, body, _utc(now_s)).payload()

    def alarm(self, seq: int, code: str, about: str, error: ApplianceError) -> OutboxMessage:
        """An alarm for the hub. about: what it concerns; the same code about the same thing is one alarm."""
        body = AlarmBody(
            key=alarm_key(self.topics.site, self.topics.device, code, about),
            seq=seq,
            session=self.session,
            clock=read_clock(),
            code=code,
            what=error.what,
            safe=error.safe,
            remedy=error.remedy,
        )
        return alarm_message(self.topics, body, _utc(self.clock()))


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _free_mb(path: Path) -> float:
    return shutil.disk_usage(path.parent).free / 1e6
