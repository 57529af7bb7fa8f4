"""A slide that was asked for at the scanner's socket, and what is told of it as it is read."""

from __future__ import annotations

from pathlib import Path

from tests.appliance.service.conftest import Client
from tests.tools.booted import Wrong

_GOES_ON = {"accepted", "step", "progress"}


class Asked:
    """Begins when made. request: as `appliance.service.requests` says. silence_s: how long a word is waited for.

    recorded: fields of the slide so far; resumed: those that there were when this reading began, -1 while not known.
    """

    def __init__(self, socket: Path, request: dict[str, object], silence_s: float) -> None:
        self.recorded = 0
        self.resumed = -1
        self._silence_s = silence_s
        self._client = Client(socket)
        self._client.socket.settimeout(silence_s)
        self._client.ask(**request)

    def until_recorded(self, more: int) -> None:
        """Until so many fields more are recorded. Raises Wrong where the reading ends before."""
        while self.resumed < 0 or self.recorded < self.resumed + more:
            event = self._hear()
            if event.get("event") not in _GOES_ON:
                raise Wrong(f"the slide ended before {more} more fields were recorded: {event}")

    def end(self) -> dict[str, object]:
        """The last event; empty where the service has gone without one."""
        while (event := self._hear()).get("event") in _GOES_ON:
            pass
        self._client.__exit__(None, None, None)
        return event

    def _hear(self) -> dict[str, object]:
        try:
            event = self._client.hear()
        except TimeoutError as error:
            raise Wrong(f"nothing said for {self._silence_s:g} s, after {self.recorded} fields") from error
        if event.get("event") == "progress":
            self.recorded = int(str(event["recorded"]))
            if self.resumed < 0:
                self.resumed = self.recorded
        return event
