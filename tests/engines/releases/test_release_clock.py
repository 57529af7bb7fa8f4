"""A dead clock brings nothing back to life and locks nothing out; a clock far ahead is named as what is wrong."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from engines.releases.errors import Refusal, ReleaseRefused, TrustDamaged
from engines.releases.repository import renew
from tests.engines.releases.conftest import Device
from tests.engines.releases.maker import BORN, DAY, Maker, forge, on_stick

DEAD = datetime(1970, 1, 1, tzinfo=timezone.utc)


def test_a_stick_that_ran_out_is_expired(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick", days=400)
    assert device.open(stick, now=BORN + 399 * DAY).packages
    assert device.refusal(stick, now=BORN + 400 * DAY) is Refusal.EXPIRED


def test_what_the_systems_clock_calls_expired_is_expired(maker: Maker, device: Device, tmp_path: Path) -> None:
    """TUF's client asks the system's clock, whatever time it is given; the refusal names the day all the same."""
    then = datetime(2001, 1, 1, tzinfo=timezone.utc)
    stick = maker.export(tmp_path / "stick", now=then)
    device.built_at = then
    with pytest.raises(ReleaseRefused, match=r"timestamp on .* ran out on 2002-02-05") as caught:
        device.open(stick, now=then)
    assert caught.value.kind is Refusal.EXPIRED


def test_with_a_dead_clock_a_good_stick_is_taken(maker: Maker, device: Device, tmp_path: Path) -> None:
    assert device.install(maker.export(tmp_path / "stick", now=BORN + DAY), now=DEAD)
    assert device.trusted.floor() == BORN + DAY


def test_with_a_dead_clock_an_expired_stick_stays_expired(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick", days=400)
    device.built_at = BORN + 400 * DAY
    assert device.refusal(stick, now=DEAD) is Refusal.EXPIRED


def test_with_a_dead_clock_the_last_release_taken_says_what_time_it_is(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    device.install(maker.export(tmp_path / "first", now=BORN + 50 * DAY), now=DEAD)
    stick = maker.export(tmp_path / "second", now=BORN + 60 * DAY)
    timestamp = on_stick(stick, "metadata/timestamp.json")
    forge(timestamp, maker.timestamp_key, expires="2100-02-20T00:00:00Z")  # the fiftieth day
    assert device.refusal(stick, now=DEAD) is Refusal.EXPIRED
    forge(timestamp, maker.timestamp_key, expires="2100-02-21T00:00:00Z")
    assert device.open(stick, now=DEAD).packages


def test_the_floor_never_falls(maker: Maker, device: Device, tmp_path: Path) -> None:
    later = BORN + 50 * DAY
    device.install(maker.export(tmp_path / "first", now=later), now=later)
    stick = maker.export(tmp_path / "second", now=later)
    forge(on_stick(stick, "metadata/timestamp.json"), maker.timestamp_key, signed_at="2100-01-02T00:00:00Z")
    device.install(stick, now=later)
    device.built_at = BORN - 100 * DAY
    assert device.trusted.floor() == later


def test_a_release_signed_by_a_clock_far_ahead_does_not_spoil_the_next(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    stick = maker.export(tmp_path / "first")
    timestamp = on_stick(stick, "metadata/timestamp.json")
    forge(timestamp, maker.timestamp_key, signed_at="2900-01-01T00:00:00Z")
    device.install(stick, now=BORN + DAY)
    assert device.trusted.floor() == BORN + 2 * DAY
    assert device.install(maker.export(tmp_path / "second", now=BORN + DAY), now=BORN + DAY)


def test_a_timestamp_that_does_not_say_when_it_was_signed_is_not_understood(
    maker: Maker, device: Device, tmp_path: Path
) -> None:
    stick = maker.export(tmp_path / "stick")
    forge(on_stick(stick, "metadata/timestamp.json"), maker.timestamp_key, signed_at="yesterday")
    assert device.refusal(stick) is Refusal.NOT_UNDERSTOOD


def test_a_clock_far_ahead_is_doubted_before_the_stick_is(maker: Maker, device: Device, tmp_path: Path) -> None:
    device.install(maker.export(tmp_path / "first"))
    stick = maker.export(tmp_path / "second", now=BORN + DAY)
    assert device.refusal(stick, now=BORN + 3660 * DAY) is Refusal.CLOCK
    assert device.install(stick, now=BORN + DAY)


def test_a_device_that_got_no_release_for_long_is_not_doubted(maker: Maker, device: Device, tmp_path: Path) -> None:
    device.install(maker.export(tmp_path / "first"))
    later = BORN + 4000 * DAY
    maker.rotate(now=later)
    maker.sign(maker.root_keys[:2])
    renew(maker.folder, now=later)
    maker.sign([maker.targets_key])
    assert device.install(maker.export(tmp_path / "second", now=later), now=later)


def test_a_damaged_floor_is_an_error_and_not_a_floor_of_long_ago(maker: Maker, device: Device, tmp_path: Path) -> None:
    stick = maker.export(tmp_path / "stick")
    device.install(stick)
    (device.folder / "trusted" / "current" / "floor.json").write_text("{")
    with pytest.raises(TrustDamaged, match=r"floor\.json.* cannot be read"):
        device.open(stick)
