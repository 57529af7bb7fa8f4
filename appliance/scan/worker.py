"""A thread that does one thing with each item it is handed, in order, behind a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_LOOK_S = 0.5
_Item = TypeVar("_Item")


class Worker(Generic[_Item]):
    """Workers in a row hand on to each other with `put`: a slow one holds back those before it, nothing is dropped.

    What goes wrong in one ends its thread and comes out of its `put`, which ends the one before in turn. Once it is
    finished or closed nothing more is taken: RuntimeError.
    """

    def __init__(self, name: str, work: Callable[[_Item], None], queue_length: int) -> None:
        self._work = work
        self._queue: queue.Queue[_Item | threading.Event | None] = queue.Queue(maxsize=queue_length)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: _Item) -> None:
        """Hand over; blocks while the queue is full. Raises what the thread met."""
        self._put(item)

    def raise_failure(self) -> None:
        """Raises what the thread met, if anything."""
        if self._failure is not None:
            raise self._failure

    def catch_up(self) -> None:
        """Wait until the work on all that was handed over is done. Raises what the thread met."""
        reached = threading.Event()
        self._put(reached)
        while not reached.wait(_LOOK_S):
            self.raise_failure()

    def finish(self) -> None:
        """The same, and end the thread."""
        self._put(None)
        self._thread.join()
        self.raise_failure()

    def close(self) -> None:
        """End the thread after what it has been handed; never raises, safe to call twice and after an error."""
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=_LOOK_S)
            except queue.Full:
                continue
            self._thread.join()

    def _put(self, item: _Item | threading.Event | None) -> None:
        while True:
            alive = self._thread.is_alive()
            self.raise_failure()
            if not alive:
                raise RuntimeError(f"{self._thread.name} has ended and takes nothing more")
            try:
                self._queue.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            return

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if isinstance(item, threading.Event):
                    item.set()
                else:
                    self._work(item)
            except Exception as error:  # noqa: BLE001 - whatever it is must stop the scan, in the scanner's thread
                self._failure = error
                return
