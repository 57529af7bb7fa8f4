"""The outbox: who is due, and what each answer does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.journal import Claimed, Outbox, OutboxMessage

T0 = 1_800_000_000.0


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox.open(tmp_path / "journal.sqlite") as opened:
        yield opened


def fill(outbox: Outbox, count: int) -> None:
    for n in range(count):
        assert outbox.post(OutboxMessage(f"k{n}", "lab/a/b/evt/verdict", f"{n}".encode()), T0 + n)


def minute(_attempts: int) -> float:
    return 60.0


def keys(claimed: list[Claimed]) -> list[str]:
    return [item.key for item in claimed]


def test_claims_are_oldest_first_and_not_given_twice(outbox: Outbox) -> None:
    fill(outbox, 5)
    assert keys(outbox.claim(T0, 3, minute)) == ["k0", "k1", "k2"]
    assert keys(outbox.claim(T0, 9, minute)) == ["k3", "k4"]
    assert outbox.claim(T0 + 59, 9, minute) == []
    again = outbox.claim(T0 + 60, 9, minute)
    assert keys(again) == ["k0", "k1", "k2", "k3", "k4"]
    assert [item.attempts for item in again] == [2] * 5
    assert outbox.claim(T0, 0, minute) == []


def test_the_wait_follows_the_number_of_attempts(outbox: Outbox) -> None:
    fill(outbox, 1)
    now = T0
    for attempts in (1, 2, 3):
        (item,) = outbox.claim(now, 1, lambda n: 10.0 * n)
        assert (item.attempts, item.wait_s) == (attempts, 10.0 * attempts)
        now += 10.0 * attempts
        assert outbox.claim(now - 0.1, 1, minute) == []


def test_the_least_tried_go_first_so_that_nobody_starves(outbox: Outbox) -> None:
    fill(outbox, 2)
    outbox.claim(T0, 2, minute)
    outbox.post(OutboxMessage("fresh", "t", b""), T0)
    outbox.due_now()
    assert keys(outbox.claim(T0, 2, minute)) == ["fresh", "k0"]


def test_a_clock_set_back_does_not_stop_the_outbox(outbox: Outbox) -> None:
    fill(outbox, 1)
    outbox.claim(T0 + 10**8, 1, minute)
    assert keys(outbox.claim(T0, 1, minute)) == ["k0"]


def test_a_key_is_posted_once(outbox: Outbox) -> None:
    fill(outbox, 1)
    assert not outbox.post(OutboxMessage("k0", "t", b"other"), T0)
    assert outbox.pending_count() == 1


@pytest.mark.parametrize("status", ["accepted", "duplicate"])
def test_a_receipt_ends_the_matter(outbox: Outbox, status: str) -> None:
    fill(outbox, 2)
    outbox.claim(T0, 2, minute)
    assert outbox.mark_receipt("k0", status, "", T0)
    assert outbox.pending_count() == 1
    assert keys(outbox.claim(T0 + 100, 9, minute)) == ["k1"]
    assert outbox.delivery("k0").receipt == status


def test_a_late_rejection_does_not_undo_a_receipt(outbox: Outbox) -> None:
    fill(outbox, 1)
    outbox.mark_receipt("k0", "accepted", "", T0)
    assert outbox.mark_receipt("k0", "rejected", "late", T0)
    assert outbox.delivery("k0").receipt == "accepted"
    assert outbox.parked() == []


def test_a_rejection_parks_with_its_reason_and_a_person_may_release_it(outbox: Outbox) -> None:
    fill(outbox, 1)
    assert outbox.mark_receipt("k0", "rejected", "no such assay", T0)
    (parked,) = outbox.parked()
    assert (parked.key, parked.reason, parked.receipt) == ("k0", "no such assay", "rejected")
    assert outbox.claim(T0 + 10**6, 1, minute) == []
    assert outbox.release() == 0
    assert outbox.release(refused_by_hub=True) == 1
    assert keys(outbox.claim(T0, 1, minute)) == ["k0"]


def test_what_the_broker_refused_is_released_without_the_rest(outbox: Outbox) -> None:
    fill(outbox, 2)
    outbox.mark_broker(1, 0x87, T0)
    outbox.park(1, "not authorised")
    outbox.mark_receipt("k1", "rejected", "bad", T0)
    assert outbox.delivery("k0").broker_code == 0x87
    assert outbox.status(T0 + 30).parked == 2
    assert outbox.release() == 1
    assert keys(outbox.claim(T0, 9, minute)) == ["k0"]


def test_receipts_of_others_are_not_ours(outbox: Outbox) -> None:
    assert not outbox.mark_receipt("foreign", "accepted", "", T0)
    assert outbox.delivery("foreign") is None


def test_status_tells_the_age_of_the_oldest(outbox: Outbox) -> None:
    assert outbox.status(T0).oldest_s == 0
    fill(outbox, 3)
    status = outbox.status(T0 + 100)
    assert (status.pending, status.parked, status.oldest_s) == (3, 0, pytest.approx(100))
    outbox.mark_receipt("k0", "accepted", "", T0)
    assert outbox.status(T0 + 100).oldest_s == pytest.approx(99)


def test_due_now_leaves_out_what_is_still_awaited(outbox: Outbox) -> None:
    fill(outbox, 3)
    claimed = outbox.claim(T0, 3, minute)
    outbox.due_now(unless=[claimed[1].seq])
    assert keys(outbox.claim(T0, 9, minute)) == ["k0", "k2"]


def test_only_old_receipts_are_purged(outbox: Outbox) -> None:
    fill(outbox, 3)
    outbox.mark_receipt("k0", "accepted", "", T0)
    outbox.mark_receipt("k1", "accepted", "", T0 + 1000)
    assert outbox.purge(datetime.fromtimestamp(T0 + 500, timezone.utc)) == 1
    assert outbox.delivery("k0") is None
    assert outbox.delivery("k1") is not None
    assert outbox.delivery("k2") is not None


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["claim", "accept", "reject", "lost", "release", "later"]), st.integers(0, 5)),
    max_size=40,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_whatever_happens_no_message_is_forgotten(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    """Each message has its receipt, is parked, or is claimed again once every wait is over."""
    with Outbox.open(tmp_path_factory.mktemp("outbox") / "journal.sqlite") as outbox:
        fill(outbox, 6)
        now = T0
        for action, n in actions:
            if action == "claim":
                outbox.claim(now, n, minute)
            elif action in ("accept", "reject"):
                outbox.mark_receipt(f"k{n}", f"{action}ed", "", now)
            elif action == "lost":
                outbox.due_now()
            elif action == "release":
                outbox.release(refused_by_hub=True)
            else:
                now += 30
        left = {f"k{n}" for n in range(6) if outbox.delivery(f"k{n}").receipt is None}
        assert set(keys(outbox.claim(now + 60, 99, minute))) == left
