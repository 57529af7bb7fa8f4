"""What a manager hears, on real datagram sockets, and what no child of the service inherits."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from appliance.service.notify import Notifier, Pulse

from .conftest import Manager


def abstract_or_path(kind: str, folder: Path) -> str:
    return str(folder / "notify") if kind == "path" else f"@cytoscan-test-{uuid.uuid4()}"


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_manager_hears_each_state_in_order(kind: str, tmp_path: Path) -> None:
    manager = Manager(abstract_or_path(kind, tmp_path))
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}
    notifier = Notifier.from_environment(environment, pid=77)
    notifier.extend(120)
    notifier.status("loading\nthe network")
    notifier.ready("idle")
    notifier.alive()
    notifier.alive("field 1 of 9")
    notifier.stopping("ending")
    assert manager.heard() == [
        "EXTEND_TIMEOUT_USEC=120000000",
        "STATUS=loading the network",
        "READY=1\nSTATUS=idle",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=field 1 of 9",
        "STOPPING=1\nSTATUS=ending",
    ]
    notifier.close()
    manager.close()


def test_without_a_manager_nothing_is_sent_and_nothing_fails() -> None:
    notifier = Notifier.from_environment({}, pid=1)
    assert notifier.watchdog_s is None
    notifier.ready("idle")
    notifier.alive("still idle")
    notifier.close()
    notifier.close()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_PID": "77"}, None),
    ],
)
def test_only_the_process_that_the_watchdog_means_feeds_it(
    told: dict[str, str], expected: float | None, manager: Manager
) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address, **told}, pid=77)
    notifier.alive("on")
    assert notifier.watchdog_s == expected
    assert manager.heard() == ["STATUS=on" if expected is None else "WATCHDOG=1\nSTATUS=on"]
    notifier.close()


def test_no_child_inherits_the_manager(monkeypatch: pytest.MonkeyPatch, manager: Manager) -> None:
    told = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    Notifier.from_environment(os.environ, os.getpid()).close()
    look = "import os; print([name for name in os.environ if name.startswith(('NOTIFY', 'WATCHDOG'))])"
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout
    assert seen.strip() == "[]"


def test_a_manager_that_has_gone_fails_nobody(manager: Manager) -> None:
    notifier = Notifier(manager.address, 30.0)
    manager.close()
    notifier.alive("on")
    Path(manager.address).unlink()
    notifier.alive("on")
    notifier.close()


def test_the_turns_of_a_loop_feed_the_watchdog_three_times_in_its_time_and_tell_each_change(manager: Manager) -> None:
    notifier, now = Notifier(manager.address, 30.0), [0.0]
    pulse = Pulse(notifier, lambda: now[0])
    for second in range(31):
        now[0] = float(second)
        pulse.turn("idle" if second < 25 else "fault")
    assert manager.heard() == ["WATCHDOG=1\nSTATUS=idle"] * 3 + ["WATCHDOG=1\nSTATUS=fault"]
    notifier.close()
