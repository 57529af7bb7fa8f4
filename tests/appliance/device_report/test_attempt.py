"""A part that fails or hangs stands in the report; nothing is silently absent."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from appliance.device_report.attempt import Attempts, Pulse
from appliance.device_report.section import DEVICE, GPU, SPEED, Check, Section
from engines.errors import EngineError

FINE = Section(DEVICE, (Check(True, "All is there."),))


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What a hanging part waits for; it ends with the test."""
    event = threading.Event()
    yield event
    event.set()


def test_a_part_that_succeeds_gives_its_section_and_what_it_made() -> None:
    assert Attempts(10).make(DEVICE, lambda _: (FINE, 7)) == (FINE, 7)


def test_a_part_that_fails_says_why_and_the_next_is_still_run() -> None:
    def fails(_: Pulse) -> tuple[Section, int]:
        raise EngineError("The plan is torn.", remedy="Build it again.")

    attempts = Attempts(10)
    section, made = attempts.make(GPU, fails)
    assert (section.part, section.passed, made) == (GPU, False, None)
    assert section.checks[0].sentence == "The plan is torn. Build it again."
    assert attempts.make(DEVICE, lambda _: (FINE, 7)) == (FINE, 7)


def test_a_fault_nobody_thought_of_stands_in_the_report_too() -> None:
    def fails(_: Pulse) -> tuple[Section, int]:
        raise ZeroDivisionError("by zero")

    section, _ = Attempts(10).make(SPEED, fails)
    assert not section.passed
    assert "ZeroDivisionError: by zero" in section.checks[0].sentence


def test_a_part_that_hangs_is_left_behind_and_none_is_begun_after_it(released: threading.Event) -> None:
    def hangs(_: Pulse) -> tuple[Section, bool]:
        return FINE, released.wait()

    attempts = Attempts(0.05)
    section, made = attempts.make(GPU, hangs)
    assert (section.passed, made, attempts.hung) == (False, None, True)
    assert "hung" in section.checks[0].sentence
    after, _ = attempts.make(SPEED, lambda _: (FINE, 7))
    assert after.checks[0].sentence == "Not run: “GPU and engine build” had hung before."


def test_a_part_that_takes_long_but_comes_on_does_not_hang() -> None:
    now_s = [0.0]

    def long(pulse: Pulse) -> tuple[Section, int]:
        for _ in range(100):
            now_s[0] += 10
            pulse.beat()
        return FINE, 7

    assert Attempts(15, lambda: now_s[0]).make(DEVICE, long) == (FINE, 7)
