"""The twin's stage put together: axes, controller and port."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from drivers.twin.mechanics import Mechanics, MechanicsSettings
from drivers.twin.pty_port import LineSettings, PtyPort
from drivers.twin.zaber import ZaberChain, ZaberSettings


class StageTwin:
    """A stage that answers on `run_dir/stage` from construction until `close`.

    mechanics: what the axes do, and their truth. chain: the controller. port: the line, and how to spoil it.
    """

    def __init__(
        self,
        run_dir: Path,
        mechanics: MechanicsSettings,
        *,
        controller: ZaberSettings | None = None,
        line: LineSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mechanics = Mechanics(mechanics, clock)
        self.chain = ZaberChain(controller or ZaberSettings(), self.mechanics, clock)
        self.port = PtyPort(self.chain, run_dir / "stage", line or LineSettings(), clock)

    @property
    def path(self) -> str:
        """Name of the port."""
        return str(self.port.link)

    def close(self) -> None:
        """End the port; safe to call twice."""
        self.port.close()

    def __enter__(self) -> StageTwin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
