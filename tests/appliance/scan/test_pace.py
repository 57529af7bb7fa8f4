"""How many frames a field gets in passing, by how the fields before went."""

from __future__ import annotations

import pytest

from appliance.scan.pace import MEMORY, Checks, Haste, Share


def after(taken: int | None, settled_by: list[int | None]) -> Haste:
    haste = Haste()
    for frames in settled_by:
        haste.note(taken, frames)
    return haste


@pytest.mark.parametrize(
    ("taken", "settled_by", "frames"),
    [
        (1, [], 1),
        (1, [1, 1, 1, 1, None] * 4, 1),
        (1, [1, None] * 10, 2),
        (2, [2] * 20, 2),
        (2, [1, 1, 2, 1, 1] * 6, 1),
        (2, [2, None, None] * 7, 3),
        (2, [None] * 60, 3),
        (None, [3] * 79, 3),
        (None, [2] * 40, 2),
        (None, [1] * 40, 1),
    ],
)
def test_what_costs_least_is_chosen(taken: int | None, settled_by: list[int | None], frames: int | None) -> None:
    assert after(taken, settled_by).frames() == frames


def test_three_in_passing_are_kept_where_they_do_and_two_tried_now_and_then() -> None:
    haste = after(2, [None] * 41)
    taken = []
    for _ in range(160):
        taken.append(haste.frames())
        haste.note(taken[-1], 3 if taken[-1] == 3 else None)
    assert set(taken) == {2, 3}
    assert taken.count(2) == 10
    for _ in range(60):
        haste.note(2, 2)
    assert haste.frames() == 2


def test_staying_ends_when_few_frames_do_again() -> None:
    haste = after(2, [None] * 40)
    for _ in range(41):
        haste.note(3, None)
    assert haste.frames() is None
    for _ in range(60):
        haste.note(None, 1)
    assert haste.frames() == 1


def test_the_first_of_two_frames_around_the_height_speaks_against_one_no_more() -> None:
    haste = Haste(Share(0.3, MEMORY), Share(counted=MEMORY), noted=1)
    around = []
    for _ in range(200):
        around.append(haste.around)
        assert haste.frames() == 2 or not haste.around
        haste.note(2, 2 if haste.around else 1, beside=haste.around)
    assert around[:9] == [True] * 7 + [False, True]
    assert not any(around[100:])
    assert haste.frames() == 1


def test_the_first_fields_tell_sooner_than_all_later_ones() -> None:
    early, late = Share(), Share(counted=MEMORY)
    for share in (early, late):
        for _ in range(3):
            share.note(true=False)
    assert early.value < 0.7
    assert late.value > 0.8


def test_checks_become_rarer() -> None:
    checks = Checks()
    asked = [number for number in range(1, 201) if checks.asked()]
    assert asked[:5] == [1, 3, 7, 13, 21]
    assert len(asked) == 14
