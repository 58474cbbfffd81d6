"""Chunks that take whole workers down: who is counted, who is blamed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inkmill.backends.store import MemoryStore
from inkmill.codes import Code
from inkmill.errors import InkmillError, ModelError, NotFound, ShuttingDown
from inkmill.records.messages import Message
from inkmill.worker.chunk.isolation import IsolatedRun, IsolationLock, read_one_by_one
from inkmill.worker.link import Task
from tests.fakes import patient

MESSAGE = Message("job", 3)


def test_an_item_is_given_up_at_the_second_death() -> None:
    store = patient(MemoryStore())
    first = IsolatedRun(store, MESSAGE, 5)
    for position in range(3):
        first.begin_item(position)  # and the worker dies with item 2 in hand
    second = IsolatedRun(store, MESSAGE, 5)
    assert second.verdicts == {}
    for position in range(3):
        second.begin_item(position)
    third = IsolatedRun(store, MESSAGE, 5)
    assert {position: code for position, (code, _) in third.verdicts.items()} == {
        2: Code.QUARANTINED
    }


def test_who_leaves_in_the_middle_blames_nobody() -> None:
    store = patient(MemoryStore())
    for _ in range(20):
        isolated = IsolatedRun(store, MESSAGE, 5)
        isolated.begin_item(1)
        isolated.abandon()
    assert IsolatedRun(store, MESSAGE, 5).verdicts == {}


def test_who_leaves_after_a_death_blames_nobody_for_leaving() -> None:
    store = patient(MemoryStore())
    IsolatedRun(store, MESSAGE, 5).begin_item(3)  # and the worker dies: one strike
    for _ in range(3):
        isolated = IsolatedRun(store, MESSAGE, 5)
        isolated.begin_item(3)
        isolated.abandon()
    assert IsolatedRun(store, MESSAGE, 5).verdicts == {}


@pytest.mark.parametrize("error", [ModelError("gone"), NotFound("gone"), ShuttingDown("leaving")])
def test_an_attempt_that_ends_otherwise_blames_nobody(error: InkmillError) -> None:
    """The model's files are gone: that is neither a death nor the fault of any item."""

    def fail(task: object, model: object, before: Callable[[int], None]) -> None:
        before(0)
        raise error

    store = patient(MemoryStore())
    pool: Any = SimpleNamespace(read_one_by_one=fail)
    task = Task("job", 3, b"", 5, "v")
    for _ in range(10):
        with pytest.raises(type(error)):
            read_one_by_one(store, pool, MESSAGE, task, lambda _: cast(Any, None))
    assert IsolatedRun(store, MESSAGE, 5).verdicts == {}


def test_deaths_without_anybody_in_hand_end_in_quarantine_of_all() -> None:
    store = patient(MemoryStore())
    for _ in range(4):
        assert IsolatedRun(store, MESSAGE, 5).verdicts == {}
    assert sorted(IsolatedRun(store, MESSAGE, 5).verdicts) == [0, 1, 2, 3, 4]


def test_one_alone_or_many_together() -> None:
    isolation, seen, most = IsolationLock(), list[str](), 0
    together = 0
    lock = threading.Lock()

    def read(alone: bool) -> None:
        nonlocal together, most
        with isolation.exclusive() if alone else isolation.shared():
            with lock:
                together += 1
                most = max(most, together)
                seen.append("alone" if alone else "shared")
                assert not alone or together == 1
            time.sleep(0.01)
            with lock:
                assert not alone or together == 1
                together -= 1

    crowd = [threading.Thread(target=read, args=(number % 5 == 0,)) for number in range(20)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join(10)
    assert sorted(seen) == ["alone"] * 4 + ["shared"] * 16
    assert most > 1
