"""Workers in a row keep the order, hold each other back, and let no failure pass."""

from __future__ import annotations

import threading

import pytest

from appliance.scan.worker import Worker


class Gate:
    """Takes each item when it is let through, and keeps it."""

    def __init__(self, fails_at: int = -1) -> None:
        self.taken: list[int] = []
        self.open = threading.Semaphore(0)
        self._fails_at = fails_at

    def take(self, item: int) -> None:
        assert self.open.acquire(timeout=30)
        if item == self._fails_at:
            raise ValueError(f"item {item}")
        self.taken.append(item)


def test_what_is_handed_over_is_worked_on_in_order() -> None:
    seen: list[int] = []
    last = Worker[int]("last", seen.append, 1)
    first = Worker[int]("first", lambda item: last.put(10 * item), 1)
    for item in range(50):
        first.put(item)
    first.finish()
    last.finish()
    assert seen == [10 * item for item in range(50)]


def test_whoever_catches_up_finds_all_done_and_may_go_on() -> None:
    seen: list[int] = []
    worker = Worker[int]("worker", seen.append, 5)
    for turn in range(1, 4):
        worker.put(turn)
        worker.catch_up()
        assert len(seen) == turn
    worker.close()


def test_a_slow_one_holds_back_all_before_it() -> None:
    gate = Gate()
    last = Worker[int]("last", gate.take, 1)
    first = Worker[int]("first", last.put, 2)
    for item in range(5):  # one in hand and one before it, one in hand and two before it
        first.put(item)
    held = threading.Thread(target=first.put, args=(5,))
    held.start()
    held.join(timeout=1.2)
    assert held.is_alive(), "a sixth was taken"
    for _ in range(6):
        gate.open.release()
    held.join(timeout=30)
    first.finish()
    last.finish()
    assert gate.taken == list(range(6))


def test_a_failure_comes_out_of_every_one_before_it_also_while_they_wait() -> None:
    gate = Gate(fails_at=1)
    last = Worker[int]("last", gate.take, 1)
    first = Worker[int]("first", last.put, 1)
    for item in range(4):
        first.put(item)
    gate.open.release()
    gate.open.release()
    with pytest.raises(ValueError, match="item 1"):
        first.finish()
    with pytest.raises(ValueError, match="item 1"):
        last.catch_up()
    for worker in (first, last, first):
        worker.close()
    assert gate.taken == [0]


def test_one_that_has_ended_takes_nothing_more() -> None:
    worker = Worker[int]("worker", lambda _: None, 1)
    worker.finish()
    with pytest.raises(RuntimeError, match="worker has ended"):
        worker.put(1)
    with pytest.raises(RuntimeError, match="worker has ended"):
        worker.catch_up()


def test_closing_lets_what_was_handed_over_be_done() -> None:
    seen: list[int] = []
    last = Worker[int]("last", seen.append, 1)
    first = Worker[int]("first", last.put, 9)
    for item in range(9):
        first.put(item)
    first.close()
    last.close()
    assert seen == list(range(9))
