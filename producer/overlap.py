"""Work that overlaps: many calls in threads, results in order, memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def overlapped(
    work: Callable[[Given], Made], things: Iterable[Given], threads: int, ahead: int
) -> Iterator[Made]:
    """``map(work, things)`` in threads, at most ``ahead`` results in advance of the reader.

    An error of ``work`` or of ``things`` is raised where its result would have come. A single
    thing needs no thread.
    """
    things = iter(things)
    first = list(islice(things, 2))
    if len(first) < 2:
        yield from map(work, first)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="inkmill") as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for thing in chain(first, things):
                pending.append(pool.submit(work, thing))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()
