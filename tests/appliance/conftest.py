"""Fixtures for the tests of journal, messages, uplink and hub: a real broker, sample slides."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .mosquitto_process import MOSQUITTO, Mosquitto
from .slide_samples import Samples


@pytest.fixture
def make_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Makes brokers, not yet started; they end with the test."""
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    made: list[Mosquitto] = []

    def make(options: str = "allow_anonymous true", listener: str = "") -> Mosquitto:
        made.append(Mosquitto(tmp_path, options, listener))
        return made[-1]

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def mosquitto(make_mosquitto: Callable[..., Mosquitto]) -> Mosquitto:
    """A running broker that takes everybody."""
    broker = make_mosquitto()
    broker.start()
    return broker


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Waits until a condition holds, and fails saying what did not when the time is over."""

    def wait(condition: Callable[[], object], what: str, timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"after {timeout_s:g} s still not: {what}")
            time.sleep(0.01)

    return wait


@pytest.fixture
def samples() -> Samples:
    """Slides, fields and verdicts to be recorded and sent."""
    return Samples()
