"""The one thread that does all GPU work. Source: edge reference 2.7, "pycuda context rules"."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar, cast

from engines.cuda.api import CudaApi
from engines.cuda.errors import CudaError

_Result = TypeVar("_Result")
_Work = tuple[Callable[[], object], "Future[object]"]


class GpuThread:
    """Runs what it is given, in order, with the primary context pushed; pops it when closed.

    Raises CudaError where there is no context to be had. Whoever opens things on it closes them before the thread.
    """

    def __init__(self, api: CudaApi) -> None:
        self.api = api
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open = True
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="gpu", daemon=True)
        self._thread.start()
        started.result()

    def run(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, done there; what it raises is raised here. Raises CudaError when closed."""
        done: Future[object] = Future()
        with self._lock:
            if not self._open:
                raise CudaError("The GPU thread is closed.", remedy="Open the engine again.")
            self._work.put((work, done))
        return cast("_Result", done.result())

    def close(self) -> None:
        """End after all that was given; safe to call twice."""
        with self._lock:
            if self._open:
                self._open = False
                self._work.put(None)
        self._thread.join()

    def _run(self, started: Future[None]) -> None:
        try:
            self.api.push()
        except BaseException as error:  # noqa: BLE001 - it belongs to who opened the thread
            started.set_exception(error)
            return
        started.set_result(None)
        while (item := self._work.get()) is not None:
            work, done = item
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it belongs to who gave the work
                done.set_exception(error)
        self.api.pop()
