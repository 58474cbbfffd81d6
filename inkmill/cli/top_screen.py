"""The screen of `inkmill top`: a snapshot of the queue as tables."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from inkmill.cli.display import many
from inkmill.producer.snapshot import JobState, QueueState, Snapshot, WorkerState

#: Lines around the tables of workers and jobs: heading, models, queues, heads of tables, gaps.
_OTHER_LINES = 20
#: At least so many workers and jobs are shown, however small the terminal.
_LEAST_LINES = 3
_BAR_WIDTH = 8

#: The texts of a table's line.
Cells = tuple[str, ...]


def screen(found: Snapshot, height: int | None = None) -> RenderableType:
    """A frame; with ``height``, workers and jobs are cut so that it fits into so many lines."""
    workers, jobs = len(found.workers), len(found.jobs)
    if height is not None:
        room = max(2 * _LEAST_LINES, height - _OTHER_LINES)
        workers = min(workers, max(_LEAST_LINES, room // 3))
        jobs = min(jobs, max(_LEAST_LINES, room - workers))
    return Group(
        _heading(found),
        _models(found),
        "",
        _queues(found.queues),
        "",
        _workers(found.workers[:workers]) if found.redis else Text("workers: not known"),
        *_more(len(found.workers) - workers, "worker"),
        "",
        _jobs(found.jobs[:jobs]) if found.jobs else Text("no open jobs"),
        *_more(len(found.jobs) - jobs, "job"),
    )


def _heading(found: Snapshot) -> Text:
    rate = sum(worker.rate for worker in found.workers)
    parts = [
        time.strftime("%H:%M:%S", time.localtime(found.taken)),
        many(len(found.jobs), "open job"),
        f"{sum(each.items for each in found.queues):,} items left",
        f"{rate:,.1f} per second",
    ]
    if found.seconds_left:
        parts.append(f"{duration(found.seconds_left)} left")
    line = Text("  ".join(parts), style="bold")
    if found.set_aside:
        line.append(f"  set aside: {found.set_aside:,} (inkmill doctor)", style="yellow")
    if not found.redis:
        line.append("  Redis does not answer", style="bold red")
    return line


def _models(found: Snapshot) -> Text:
    words = [
        f"{each.name} {each.version[:12]}"
        + ("" if each.age is None else f", promoted {duration(each.age)} ago")
        for each in found.models
    ]
    return Text(f"models: {'; '.join(words) or 'none is published'}", style="dim")


def _queues(queues: Iterable[QueueState]) -> Table:
    columns = ("QUEUE", "JOBS", "ITEMS LEFT", "CHUNKS WAITING", "IN FLIGHT", "OLDEST JOB")
    rows: list[Cells] = [
        (
            each.priority,
            f"{each.jobs:,}",
            f"{each.items:,}",
            f"{each.waiting:,}",
            f"{each.in_flight:,}",
            duration(each.oldest) if each.jobs else "",
        )
        for each in queues
    ]
    return _table(columns, rows)


def _workers(workers: Sequence[WorkerState]) -> RenderableType:
    if not workers:
        return Text("no workers: start one with inkmill worker", style="yellow")
    rows: list[Cells] = [
        (
            each.name,
            f"{sum(each.held.values())} of {each.slots}",
            f"{each.rate:,.1f}",
            ", ".join(f"{job} ({count})" for job, count in sorted(each.held.items())) or "idle",
        )
        for each in workers
    ]
    return _table(("WORKER", "HOLDS", "ITEMS/S", "CHUNKS OF"), rows, words=("CHUNKS OF",))


def _jobs(jobs: Iterable[JobState]) -> Table:
    columns = ("JOB", "QUEUE", "DONE", "LEFT", "ITEMS/S", "TIME LEFT", "OK/REVIEW/ERROR")
    rows: list[Cells] = [
        (
            each.job,
            each.priority,
            _bar(each.done),
            f"{each.items_left:,}" if each.sealed else "uploading",
            f"{each.rate:,.1f}",
            duration(each.seconds_left),
            "/".join(f"{each.statuses.get(name, 0):,}" for name in ("ok", "review", "error")),
        )
        for each in jobs
    ]
    return _table(columns, rows, words=("QUEUE", "OK/REVIEW/ERROR"))


def _bar(done: float) -> str:
    """A share from 0 to 1 as a bar, and in percent."""
    full = int(done * _BAR_WIDTH)
    return f"{'█' * full}{'░' * (_BAR_WIDTH - full)} {done:4.0%}"


def _table(columns: Sequence[str], rows: Sequence[Cells], words: Sequence[str] = ()) -> Table:
    """A table whose columns are numbers, except the first and ``words``.

    Where the terminal is narrow, names are cut, never numbers.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="bold cyan",
    )
    for number, name in enumerate(columns):
        is_name = number == 0 or name == "CHUNKS OF"
        widths = [len(name), *(len(row[number]) for row in rows if not is_name)]
        table.add_column(
            name,
            justify="left" if number == 0 or name in words else "right",
            # Rich narrows columns that may wrap; their texts do not all the same.
            no_wrap=not is_name,
            overflow="ellipsis",
            min_width=max(widths),
        )
    for row in rows:
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
    return table


def _more(left_out: int, what: str) -> list[Text]:
    return [Text(f"and {many(left_out, what)} more", style="dim")] if left_out > 0 else []


def duration(seconds: float | None) -> str:
    """A duration in its two largest units: 2d 4h, 1h 5m, 3m 20s, 12s; "?" where it is not known.

    >>> duration(3900)
    '1h 5m'
    """
    if seconds is None:
        return "?"
    left, parts = round(seconds), list[str]()
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number or parts:
            parts.append(f"{number}{unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part[0] != "0") or "0s"
