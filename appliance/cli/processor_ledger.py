"""Where a program's processor time goes: each thread's, split among named parts without gap or overlap."""

from __future__ import annotations

import functools
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Account:
    """One thread's: since when which part, and what was spent on each; `close_row` begins a new row."""

    def __init__(self, parts: Sequence[str], rest: str) -> None:
        self.rows = {part: array("d") for part in parts}
        self._part = rest
        self._spent = dict.fromkeys(parts, 0.0)
        self._since_s = time.thread_time()

    def switch(self, part: str) -> str:
        """From now on it is spent on this part; on which before."""
        now_s = time.thread_time()
        self._spent[self._part] += now_s - self._since_s
        before, self._part, self._since_s = self._part, part, now_s
        return before

    def close_row(self) -> None:
        self.switch(self._part)
        for part, seconds in self._spent.items():
            self.rows[part].append(seconds)
            self._spent[part] = 0.0


class Ledger:
    """Seconds of processor time by part; a call inside another is its own part's alone, not the outer one's."""

    def __init__(self, parts: Sequence[str], rest: str) -> None:
        """rest: the part, among the others, of what is in no call that is watched."""
        self._parts = tuple(parts)
        self._rest = rest
        self._own = threading.local()
        self._accounts: list[_Account] = []

    def close_row(self) -> None:
        """What this thread has spent since its last row, or since it was first seen, becomes a row."""
        self._account().close_row()

    def forget(self) -> None:
        """Drop all rows; threads that were seen begin anew with their next call."""
        self._own = threading.local()
        self._accounts = []

    def rows(self) -> dict[str, NDArray[np.float64]]:
        """(rows,) seconds of each part, all threads together, row by row as far as all threads have rows."""
        least = min((len(account.rows[self._rest]) for account in self._accounts), default=0)
        none = np.zeros(least)
        return {
            part: sum((np.array(account.rows[part][:least]) for account in self._accounts), none)
            for part in self._parts
        }

    @contextmanager
    def watching(self, calls: Sequence[tuple[Any, str, str]]) -> Iterator[None]:
        """For the length of a block, account calls to their parts. calls: module or class, function name, part."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in calls]
        for owner, name, part in calls:
            setattr(owner, name, self._accounted(part, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)

    def _accounted(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def accounted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the function takes and gives
            account = self._account()
            before = account.switch(part)
            try:
                return function(*args, **kwargs)
            finally:
                account.switch(before)

        return accounted

    def _account(self) -> _Account:
        account: _Account | None = getattr(self._own, "account", None)
        if account is None:
            account = self._own.account = _Account(self._parts, self._rest)
            self._accounts.append(account)
        return account
