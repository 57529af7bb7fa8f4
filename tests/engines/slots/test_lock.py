"""An update and a slide exclude each other, and a process that dies holds nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engines.slots.errors import SlideInProgress, UpdateUnderWay
from engines.slots.lock import taking_turns
from engines.slots.store import SlotStore

from .life import NAME, NOW, TRIAL, stage

_HOLD = """
import sys
from pathlib import Path
from engines.slots.lock import taking_turns
from engines.slots.store import SlotStore
root, what = Path(sys.argv[1]), sys.argv[2]
with taking_turns(root) if what == "turn" else getattr(SlotStore(root), what)():
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@contextmanager
def _another_process(root: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _HOLD, str(root), what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_while_another_process_updates_there_is_no_update_and_no_slide(tmp_path: Path) -> None:
    store = SlotStore(tmp_path)
    with _another_process(tmp_path, "updating"):
        with pytest.raises(UpdateUnderWay, match="Another process changes the engines in"), store.updating():
            pass
        with pytest.raises(UpdateUnderWay), store.reading():
            pass
    with store.updating():  # it was killed and has given its lock back
        pass


def test_while_a_slide_is_read_there_is_no_update_but_another_slide(tmp_path: Path) -> None:
    store = SlotStore(tmp_path)
    with _another_process(tmp_path, "reading"):
        with pytest.raises(SlideInProgress, match="A slide is being read"), store.updating():
            pass
        with store.reading():
            pass
    with store.updating():
        pass


def test_a_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    store = SlotStore(tmp_path)
    for held in (store.updating, store.reading):
        with pytest.raises(KeyError), held():
            raise KeyError
    with SlotStore(tmp_path).updating():
        pass


def test_nothing_is_changed_without_the_lock(store: SlotStore, releases: list[Path]) -> None:
    with pytest.raises(RuntimeError, match=r"inside updating\(\)"):
        stage(store, releases[0])
    with pytest.raises(RuntimeError, match=r"inside reading\(\)"):
        store.slide_started(NAME)
    with store.reading(), pytest.raises(RuntimeError, match=r"inside updating\(\)"):
        store.watch(NAME, TRIAL, who="scanner", now=NOW)
    assert store.names() == []


def test_a_turn_is_waited_for_until_the_process_that_has_it_is_gone(tmp_path: Path) -> None:
    waited: list[float] = []
    with _another_process(tmp_path, "turn") as other:

        def pause(seconds: float) -> None:
            waited.append(seconds)
            other.kill()
            other.wait()

        with taking_turns(tmp_path, pause):
            pass
    assert len(waited) == 1


def test_a_turn_that_does_not_end_is_waited_for_five_seconds(tmp_path: Path) -> None:
    waited: list[float] = []
    with _another_process(tmp_path, "turn"):
        refused = pytest.raises(UpdateUnderWay, match="Another process changes the engines in")
        with refused, taking_turns(tmp_path, waited.append):
            pass
        assert sum(waited) == pytest.approx(5.0)
    with taking_turns(tmp_path, lambda _: pytest.fail("nobody has it")):
        pass


def test_a_turn_ends_after_an_error_and_keeps_no_update_away(store: SlotStore, tmp_path: Path) -> None:
    with pytest.raises(KeyError), taking_turns(tmp_path), store.updating():
        raise KeyError
    with taking_turns(tmp_path), store.updating():
        pass
