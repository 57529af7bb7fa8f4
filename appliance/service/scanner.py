"""The scanner as a service: one slide at a time, asked for over a socket, told to whoever asked.

The loop answers clients and passes on what the reading tells; the reading has its own thread. While a slide is read
only the reading feeds the watchdog (`appliance.service.heartbeat`), while none is this loop does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from appliance.assays import known_assays, load_assay
from appliance.errors import ApplianceError, Stopped
from appliance.service.breadcrumb import Breadcrumb
from appliance.service.clients import Clients
from appliance.service.errors import ServiceError
from appliance.service.notify import Notifier, Pulse
from appliance.service.reading import Read, Reading
from appliance.service.requests import (
    Accepted,
    Failed,
    Refused,
    ScanRequest,
    SlideInHand,
    Status,
    StatusRequest,
    VerdictReached,
    parse_request,
    to_line,
)
from drivers.errors import DeviceError
from engines.errors import EngineError

_TICK_S = 0.5
KNOWN_ERRORS = (ApplianceError, DeviceError, EngineError)


class ScannerService:
    """Takes requests from `clients` until it is told to end. See `appliance.service.requests` for what may be asked.

    read: how a slide is read. note: called with each line for the log, which names no case. now: UTC.
    monotonic: seconds.
    """

    def __init__(
        self,
        clients: Clients,
        breadcrumb: Breadcrumb,
        read: Read,
        notifier: Notifier,
        *,
        note: Callable[[str], None],
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._breadcrumb = breadcrumb
        self._read = read
        self._notifier = notifier
        self._note = note
        self._now = now
        self._monotonic = monotonic
        self._reading: Reading | None = None
        self._fault: Failed | None = None
        self._interrupted: SlideInHand | None = None
        self._ending = False
        self._resting = "idle"
        self._pulse = Pulse(notifier, monotonic)

    def serve(self, end: threading.Event) -> None:
        """Say that it is ready, and serve until `end` is set and the field in hand is recorded.

        A slide that is being read then goes on when it is asked for again. An error of a kind that nobody foresaw
        ends the service too, once its client has been told: what is wrong then is not known.
        """
        self._look_back()
        self._notifier.ready(self._resting)
        while not (self._ending and self._reading is None):
            for client, line in self._clients.poll(_TICK_S):
                self._answer(client, line)
            if self._reading is None:
                self._pulse.turn(self._resting)
            else:
                self._follow(self._reading)
            if end.is_set():
                self._end()

    def _look_back(self) -> None:
        try:
            self._interrupted = self._breadcrumb.read()
        except ServiceError as error:
            self._note(error.what)
        if self._interrupted is not None:
            self._note("A slide was interrupted when this service last ended; it goes on when it is asked for again.")

    def _answer(self, client: int, line: bytes) -> None:
        try:
            request = parse_request(line)
        except ServiceError as error:
            self._refuse(client, error)
            self._clients.hang_up(client)
            return
        try:
            if isinstance(request, StatusRequest):
                self._clients.send(client, to_line(self._status()))
            elif isinstance(request, ScanRequest):
                self._begin(client, request)
            else:
                self._stop(client)
        except ApplianceError as error:
            self._refuse(client, error)

    def _refuse(self, client: int, error: ApplianceError) -> None:
        self._clients.send(client, to_line(Refused(what=error.what, safe=error.safe, remedy=error.remedy)))

    def _begin(self, client: int, request: ScanRequest) -> None:
        if self._ending:
            raise ServiceError("The scanner is ending.", remedy="Ask again when it has started anew.")
        if self._reading is not None:
            raise ServiceError(
                "Another slide is being read.",
                safe="That one goes on.",
                remedy="Wait for its verdict, or stop it; then ask again.",
            )
        if request.assay not in known_assays():
            raise ServiceError(
                f'There is no assay "{request.assay}".', remedy=f"Name one of: {', '.join(known_assays())}."
            )
        assay = load_assay(request.assay)
        asked = request.model_dump(include=set(SlideInHand.model_fields))
        slide = SlideInHand(**asked, started_at=self._now())
        self._breadcrumb.write(slide)
        if self._interrupted is not None and _same(self._interrupted, slide):
            self._interrupted = None
        self._fault = None
        self._clients.send(client, to_line(Accepted(request="scan")))
        self._note(f"A slide is being read: {request.assay}.")
        self._notifier.alive(f"reading a slide: {request.assay}")
        self._reading = Reading(client, slide, request, assay, self._read, self._notifier, self._clients.wake)

    def _stop(self, client: int) -> None:
        if self._reading is None:
            raise ServiceError("No slide is being read.", remedy="Nothing need be done.")
        self._reading.stop.set()
        self._clients.send(client, to_line(Accepted(request="stop")))

    def _status(self) -> Status:
        reading = self._reading
        if reading is None:
            return Status(
                state="idle" if self._fault is None else "fault", fault=self._fault, interrupted=self._interrupted
            )
        step, progress = reading.heartbeat.now
        return Status(
            state="scanning", slide=reading.slide, step=step, progress=progress, interrupted=self._interrupted
        )

    def _follow(self, reading: Reading) -> None:
        outcome = reading.outcome  # before its events: after it none is to come
        for event in reading.events():
            self._clients.send(reading.client, to_line(event))
        if outcome is not None:
            self._reading = None
            told = self._conclude(outcome)
            self._clients.send(reading.client, to_line(told))
            if isinstance(outcome, Exception) and not isinstance(outcome, KNOWN_ERRORS):
                raise outcome

    def _conclude(self, outcome: VerdictReached | Exception) -> VerdictReached | Failed:
        """What is kept of a reading that is over; what its client is told."""
        if isinstance(outcome, VerdictReached):
            self._forget()
            self._note("The slide has its verdict.")
            self._rest("idle")
            return outcome
        told = _failed(outcome)
        stopped = isinstance(outcome, Stopped)
        self._note(f"The slide has no verdict: {type(outcome).__name__}.")
        if isinstance(outcome, KNOWN_ERRORS) and not (stopped and self._ending):
            self._forget()
        if not stopped:
            self._fault = told
        self._rest("idle" if stopped else f"the last slide failed: {type(outcome).__name__}")
        return told

    def _forget(self) -> None:
        """A note that stays is a false alarm at the next start, and no reason to end this one."""
        try:
            self._breadcrumb.clear()
        except ServiceError as error:
            self._note(error.what)

    def _rest(self, status: str) -> None:
        """No slide is read from now on, and this loop feeds the watchdog again."""
        self._resting = status
        self._pulse = Pulse(self._notifier, self._monotonic)

    def _end(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._notifier.stopping("ending" if self._reading is None else "ending after the field in hand")
        if self._reading is not None:
            self._reading.stop.set()


def _same(one: SlideInHand, other: SlideInHand) -> bool:
    return (one.accession, one.slide) == (other.accession, other.slide)


def _failed(error: Exception) -> Failed:
    if isinstance(error, KNOWN_ERRORS):
        safe = getattr(error, "safe", "What was read before is recorded.")
        return Failed(what=error.what, safe=safe, remedy=error.remedy)
    return Failed(
        what=f"The scanner met a fault of the program ({type(error).__name__}).",
        safe="What was read before is recorded; the scanner starts anew.",
        remedy="Ask for the slide again to go on, and report this with the log of the scanner.",
    )
