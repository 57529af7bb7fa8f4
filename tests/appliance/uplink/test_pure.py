"""Waits and suspicion, as functions of data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.uplink.suspects import LONE_LOSSES, Suspects
from appliance.uplink.waits import absent_wait_s, receipt_wait_s, reconnect_wait_s

DRAW = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), DRAW)
def test_waits_grow_and_stay_bounded(tries: int, draw: float) -> None:
    assert 0 < receipt_wait_s(tries, 60.0, draw) <= 900 * 1.1
    assert 0 < absent_wait_s(tries, draw) <= 60
    assert 0 < reconnect_wait_s(tries, draw) <= 60
    assert receipt_wait_s(tries, 60.0, draw) <= receipt_wait_s(tries + 1, 60.0, draw)
    assert absent_wait_s(tries, draw) <= absent_wait_s(tries + 1, draw)


def test_waits_double_from_their_first() -> None:
    assert [receipt_wait_s(n, 60.0, 0.5) for n in (1, 2, 3, 9)] == [60, 120, 240, 900]
    assert [reconnect_wait_s(n, 0.0) for n in (0, 1, 2, 20)] == [0.25, 0.5, 1.0, 30.0]
    assert receipt_wait_s(1, 5000.0, 0.5) == 5000


def test_a_fleet_does_not_return_at_one_instant() -> None:
    waits = {round(reconnect_wait_s(3, n / 10), 3) for n in range(10)}
    assert len(waits) == 10


def test_an_idle_loss_suspects_nobody() -> None:
    suspects = Suspects()
    assert suspects.lost([]) is None
    assert not suspects.cautious


def test_only_what_is_out_alone_many_times_is_the_cause() -> None:
    suspects = Suspects()
    assert suspects.lost(["a", "bad", "c"]) is None
    assert suspects.cautious
    for _ in range(LONE_LOSSES - 1):
        assert suspects.lost(["bad"]) is None
    assert suspects.lost(["bad"]) == "bad"


def test_an_answer_clears_a_message_of_suspicion() -> None:
    suspects = Suspects()
    suspects.lost(["a", "b"])
    for _ in range(LONE_LOSSES - 1):
        suspects.lost(["a"])
    suspects.answered("a")
    assert not suspects.cautious
    suspects.lost(["a"])
    assert suspects.lost(["a"]) is None


def test_another_message_between_does_not_clear_the_culprit() -> None:
    suspects = Suspects()
    suspects.lost(["a", "bad"])
    culprit = None
    for round_number in range(LONE_LOSSES):
        suspects.lost(["bad", f"other-{round_number}"])
        culprit = suspects.lost(["bad"])
        if culprit is None:
            suspects.answered(f"other-{round_number}")
    assert culprit == "bad"
