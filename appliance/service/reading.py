"""One slide being read in a thread of its own, seen from the service's loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from appliance.assays import Assay
from appliance.scan.events import ScanListener
from appliance.service.heartbeat import Heartbeat
from appliance.service.notify import Notifier
from appliance.service.requests import Progress, ScanRequest, SlideInHand, Step, VerdictReached

Read = Callable[[ScanRequest, Assay, ScanListener, threading.Event], VerdictReached]
"""Reads a slide to its verdict; ends after the field in hand, by an error, when the event is set."""


class Reading:
    """Begun when made. client: who asked. slide: what is told of it. wake: called whenever there is something to tell.

    outcome: what it ended by; None while it goes on.
    """

    def __init__(
        self,
        client: int,
        slide: SlideInHand,
        request: ScanRequest,
        assay: Assay,
        read: Read,
        notifier: Notifier,
        wake: Callable[[], None],
    ) -> None:
        self.client = client
        self.slide = slide
        self.outcome: VerdictReached | Exception | None = None
        self.stop = threading.Event()
        self._events: queue.SimpleQueue[Step | Progress] = queue.SimpleQueue()
        self._wake = wake
        self.heartbeat = Heartbeat(notifier, assay.labels.targets, self._tell)
        threading.Thread(target=self._work, args=(request, assay, read), name="reading", daemon=True).start()

    def events(self) -> list[Step | Progress]:
        """What there is to tell since the last call."""
        told = []
        while not self._events.empty():
            told.append(self._events.get())
        return told

    def _tell(self, event: Step | Progress) -> None:
        self._events.put(event)
        self._wake()

    def _work(self, request: ScanRequest, assay: Assay, read: Read) -> None:
        try:
            self.outcome = read(request, assay, self.heartbeat, self.stop)
        except Exception as error:  # noqa: BLE001 - whatever it is, the service's loop must hear of it
            self.outcome = error
        self._wake()
