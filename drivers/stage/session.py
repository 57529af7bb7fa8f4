"""The conversation with one controller: one request at a time, matched by tag, with a lane that overtakes for STOP."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from drivers.errors import LinkLost
from drivers.stage.dialect import Address, Alert, Dialect, Garbage, Intent, Reply, Request, Verb
from drivers.stage.model import NoAnswer
from drivers.stage.transport import Transport

_TRIES = 2
_AGAIN_TRIES = 20
_QUIET_S = 0.02
_REST_S = 10.0  # so long a lost answer may still come; under a tag used again it would be taken for another's


@dataclass(frozen=True)
class TraceEntry:
    """One piece of the conversation: clock time in s, direction, bytes."""

    t_s: float
    direction: Literal["out", "in"]
    data: bytes


@dataclass
class SessionCounts:
    """What went wrong on the line, and was mended or dropped, since the session began."""

    repeated: int = 0
    garbage: int = 0
    unmatched: int = 0
    alerts: int = 0


@dataclass
class _Job:
    intent: Intent
    future: Future[Reply] = field(default_factory=Future)


@dataclass
class _Sent:
    """A request on the wire. tries: how often it has been sent."""

    job: _Job
    request: Request
    deadline_s: float
    urgent: bool
    tries: int = 1
    reply: Reply | None = None


class Session:
    """Owns the transport in one thread; `request` and `urgent` may be called from any thread.

    A request whose answer does not come is sent once more only if that does no harm, and only after the line fell quiet
    and the device proved to be the one it was before. Everything else is NoAnswer; a dead port is LinkLost.
    """

    def __init__(
        self, transport: Transport, dialect: Dialect, *, reply_timeout_s: float, clock: Callable[[], float]
    ) -> None:
        self.counts = SessionCounts()
        self._transport = transport
        self._dialect = dialect
        self._timeout_s = reply_timeout_s
        self._clock = clock
        self._framer = dialect.framer()
        self._tag = 0
        self._serials: dict[int, str] = {}
        self._trace: deque[TraceEntry] = deque(maxlen=2000)
        self._lock = threading.Lock()
        self._normal: deque[_Job] = deque()
        self._urgent: deque[_Job] = deque()
        self._in_flight: dict[int, _Sent] = {}
        self._resting: dict[int, float] = {}
        self._ended: LinkLost | None = None
        self._thread = threading.Thread(target=self._run, name="stage-port", daemon=True)
        self._thread.start()

    def request(self, intent: Intent) -> Reply:
        """Ask, and wait for the answer, which may be a rejection.

        Raises:
            NoAnswer: no answer that can be trusted came. LinkLost: the port is gone.
        """
        return self._enqueue(self._normal, intent).result()

    def urgent(self, intents: list[Intent]) -> list[Reply]:
        """The same for requests that overtake all others, even one that still waits for its answer."""
        futures = [self._enqueue(self._urgent, intent) for intent in intents]
        return [future.result() for future in futures]

    def remember(self, device: int, serial: str) -> None:
        """Who a device is; before anything is repeated it must say the same again."""
        self._serials[device] = serial

    def trace(self) -> list[TraceEntry]:
        """The latest pieces of the conversation, oldest first."""
        with self._lock:
            return list(self._trace)

    @property
    def bad_bytes(self) -> int:
        """Bytes received that belonged to no frame."""
        return self._framer.bad_bytes

    def close(self) -> None:
        """End the conversation and release the port; whoever still waits gets LinkLost. Safe to call twice."""
        self._end(LinkLost("The stage was closed.", remedy="Open it again."))
        self._transport.wake()
        self._thread.join()

    def _enqueue(self, lane: deque[_Job], intent: Intent) -> Future[Reply]:
        job = _Job(intent)
        with self._lock:
            if self._ended:
                raise self._ended
            lane.append(job)
        self._transport.wake()
        return job.future

    def _end(self, error: LinkLost) -> None:
        with self._lock:
            self._ended = self._ended or error

    def _next(self, lane: deque[_Job]) -> _Job | None:
        with self._lock:
            return lane.popleft() if lane else None

    # From here on: the owner thread.

    def _run(self) -> None:
        try:
            while self._ended is None:
                job = self._next(self._normal)
                if job is None:
                    self._step(None)
                else:
                    self._serve(job)
        except LinkLost as error:
            self._end(error)
        finally:
            self._end(LinkLost("The stage session ended.", remedy="Open the stage again."))
            self._abandon()
            self._transport.close()

    def _abandon(self) -> None:
        with self._lock:
            left = [sent.job for sent in self._in_flight.values()] + list(self._urgent) + list(self._normal)
            self._urgent.clear()
            self._normal.clear()
        for job in left:
            if not job.future.done():
                job.future.set_exception(self._ended)

    def _serve(self, job: _Job) -> None:
        """Carry one request to its answer, repeating it where that is allowed."""
        try:
            reply = self._ask(job)
            if reply is None and self._dialect.encode(job.intent, 0).idempotent:
                self.counts.repeated += 1
                self._same_device(job.intent.address.device)
                reply = self._ask(job)
        except LinkLost as error:
            job.future.set_exception(error)
            if not isinstance(error, NoAnswer):
                raise
            return
        if reply is None:
            job.future.set_exception(self._silence(job.intent))
        else:
            job.future.set_result(reply)

    def _ask(self, job: _Job) -> Reply | None:
        """Send and wait for the answer; None when none came in time."""
        reply = None
        for _ in range(_AGAIN_TRIES):
            tag, sent = self._send(job, urgent=False)
            while sent.reply is None and self._clock() < sent.deadline_s and self._ended is None:
                self._step(sent.deadline_s)
            self._settled(tag)
            if self._ended:
                raise self._ended
            reply = sent.reply
            if reply is None or not self._dialect.try_again(reply):
                break
        return reply

    def _same_device(self, device: int) -> None:
        """Let late answers pass, then make sure that the device is still the one it was."""
        quiet_s = self._clock() + _QUIET_S
        while self._clock() < quiet_s:
            self._step(quiet_s)
        self._framer.reset()
        known = self._serials.get(device)
        if known is None:
            return
        intent = Intent(Verb.SERIAL, Address(device))
        reply = self._ask(_Job(intent))
        if reply is None:
            raise self._silence(intent)
        if reply.data != known:
            raise LinkLost(
                f"Device {device} of the stage is now serial number {reply.data}, it was {known}.",
                safe="Nothing more was sent.",
                remedy="Open the stage again and home it.",
            )

    def _silence(self, intent: Intent) -> NoAnswer:
        address = intent.address
        return NoAnswer(
            f"The stage (device {address.device}, axis {address.axis}) gave no valid answer to '{intent.verb.value}'.",
            safe="Whether the request was carried out is not known.",
            remedy="Check cable and power of the controller, then open the stage again and home it.",
        )

    def _send(self, job: _Job, *, urgent: bool) -> tuple[int, _Sent]:
        self._tag = self._free_tag()
        request = self._dialect.encode(job.intent, self._tag)
        sent = _Sent(job, request, self._clock() + self._timeout_s, urgent)
        self._in_flight[self._tag] = sent
        self._write(request.data)
        return self._tag, sent

    def _free_tag(self) -> int:
        """The next tag that no answer can come for; were there none, the one that has rested longest."""
        tags, now_s = self._dialect.capabilities.tags, self._clock()
        free = [t for t in ((self._tag + k) % tags for k in range(1, tags + 1)) if t not in self._in_flight]
        rested = (t for t in free if self._resting.get(t, now_s) <= now_s)
        return next(rested, min(free, key=lambda t: self._resting.get(t, now_s)))

    def _settled(self, tag: int) -> None:
        """A request is over; if an answer to it may still come, its tag rests."""
        sent = self._in_flight.pop(tag)
        if sent.reply is None or sent.tries > 1:
            self._resting[tag] = self._clock() + _REST_S

    def _write(self, data: bytes) -> None:
        with self._lock:
            self._trace.append(TraceEntry(self._clock(), "out", data))
        self._transport.write(data)

    def _step(self, deadline_s: float | None) -> None:
        """Send what is urgent, then listen once, at most until the deadline."""
        while (job := self._next(self._urgent)) is not None:
            self._send(job, urgent=True)
        ends = [sent.deadline_s for sent in self._in_flight.values() if sent.urgent]
        if deadline_s is not None:
            ends.append(deadline_s)
        data = self._transport.read(max(0.0, min(ends) - self._clock()) if ends else None)
        if data:
            with self._lock:
                self._trace.append(TraceEntry(self._clock(), "in", data))
            for frame in self._framer.feed(data):
                self._take(frame)
        self._mind_urgent()

    def _take(self, frame: bytes) -> None:
        """Give a frame to the request it answers."""
        meaning = self._dialect.decode(frame)
        if isinstance(meaning, Garbage):
            self.counts.garbage += 1
            return
        if isinstance(meaning, Alert):
            self.counts.alerts += 1
            return
        sent = self._in_flight.get(meaning.tag) if meaning.tag is not None else None
        if sent is None or sent.job.intent.address != meaning.address:
            self.counts.unmatched += 1
        elif self._dialect.capabilities.checksum and not (meaning.checked or sent.request.unchecked_reply):
            self.counts.garbage += 1
        else:
            sent.reply = meaning

    def _mind_urgent(self) -> None:
        """Finish urgent requests that were answered; repeat once those that were not."""
        for tag, sent in list(self._in_flight.items()):
            if not sent.urgent:
                continue
            if sent.reply is not None:
                self._settled(tag)
                sent.job.future.set_result(sent.reply)
            elif self._clock() >= sent.deadline_s:
                if sent.tries < _TRIES and sent.request.idempotent:
                    sent.tries += 1
                    sent.deadline_s = self._clock() + self._timeout_s
                    self._write(sent.request.data)
                else:
                    self._settled(tag)
                    sent.job.future.set_exception(self._silence(sent.job.intent))
