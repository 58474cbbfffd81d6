"""`inkmill top`: what is said of queues, workers and jobs, and on which terminals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from inkmill.cli.commands import top
from inkmill.cli.top_screen import duration, screen
from inkmill.producer import submit
from inkmill.producer.overview import OpenJob, Overview
from inkmill.producer.pace import JobPaces
from inkmill.producer.snapshot import Sampler, Snapshot
from inkmill.records.messages import Delivery
from inkmill.worker.metrics import Rate
from tests.fakes import FakeCluster


@pytest.fixture
def busy(scans: Callable[..., Path]) -> FakeCluster:
    """A cluster with two jobs and a worker that holds two chunks."""
    from inkmill.backends.queue import deliveries

    cluster = FakeCluster(window=3)
    for name, priority in (("nightly", "low"), ("district-7", "high")):
        submit(
            scans(20, name),
            name=name,
            chunk_size=2,
            priority=priority,
            connection=cluster.connection,
        )
    cluster.work(2)
    cluster.queue.report_worker("ann:12", 5, process="ab", rate=212.5)
    job = cluster.id("district-7")
    for chunk in (2, 3):
        delivery = Delivery(job, chunk, "inkmill.high", "ab")
        deliveries.record(cluster.queue.client, f"tag-{chunk}", delivery)
    return cluster


def shown(found: Snapshot, width: int = 100, height: int | None = None) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(screen(found, height))
    return capture.get()


def test_a_frame_says_what_is_left_and_who_reads_what(busy: FakeCluster) -> None:
    found = Sampler(busy.connection).take()
    assert [job.job for job in found.jobs] == ["district-7", "nightly"]
    assert (found.jobs[0].items_left, found.jobs[0].done) == (16, 0.2)
    assert [each.waiting + each.in_flight for each in found.queues] == [8, 0, 10]
    (worker,) = found.workers
    assert (worker.held, worker.rate) == ({"district-7": 2}, 212.5)
    text = shown(found)
    assert "2 open jobs  36 items left  212.5 per second" in text
    assert "ann:12  2 of 5    212.5  district-7 (2)" in text
    assert "models: digits abababababab" in text
    # Narrow terminals cut names, and never numbers.
    narrow = next(line for line in shown(found, 70).splitlines() if line.startswith("dist"))
    assert narrow.split()[-1] == "4/0/0"
    assert " 16 " in narrow


def test_a_small_terminal_shows_as_much_as_fits(scans: Callable[..., Path]) -> None:
    cluster = FakeCluster()
    for number in range(30):
        submit(scans(2, f"f{number}"), name=f"job-{number:02d}", connection=cluster.connection)
        cluster.queue.report_worker(f"w{number}:1", 3)
    text = shown(Sampler(cluster.connection).take(), height=30)
    assert len(text.splitlines()) <= 30
    assert "27 workers more" in text
    assert "23 jobs more" in text


def test_without_redis_the_store_says_what_is_left(
    busy: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.errors import Unreachable

    def away(*_: object) -> None:
        raise Unreachable("Redis does not answer")

    monkeypatch.setattr(busy.queue, "workers", away)
    found = Sampler(busy.connection).take()
    assert sum(each.items for each in found.queues) == 36
    assert "workers: not known" in shown(found)
    assert "Redis does not answer" in shown(found)


def test_the_rate_of_a_job_is_that_of_the_last_minute() -> None:
    def seen(at: float, rows: int) -> Overview:
        job = OpenJob(
            "a", "a", "normal", "", "digits", True, 0.0, 1000, 100, 50, statuses={"ok": rows}
        )
        return Overview(at, (job,), {}, 0, True)

    paces, first = JobPaces(), seen(100, 200)
    paces.add(first)
    assert paces.rate(first.jobs[0]) == 2.0, "the mean since the job was submitted"
    for at, rows in ((130, 230), (190, 350)):
        paces.add(seen(at, rows))
    assert paces.rate(first.jobs[0]) == pytest.approx(2.0)
    now = [0.0]
    rate = Rate(lambda: now[0])
    now[0] = 10.0
    rate.add(50)
    assert rate.read() == 5.0
    now[0] = 100.0
    assert rate.read() == 0.0


@pytest.mark.parametrize("options", [[], ["--once"]])
def test_without_a_terminal_one_frame_is_printed(
    busy: FakeCluster, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr(top, "connection", lambda: busy.connection)
    done = CliRunner().invoke(top.top, options)
    assert done.exit_code == 0, done.output
    assert "district-7" in done.output
    assert "\x1b" not in done.output
    lines = CliRunner().invoke(top.top, ["--json"]).output.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["jobs"][0]["items_left"] == 16


def test_durations_have_two_units_at_most() -> None:
    told = [duration(each) for each in (None, 0, 12, 200, 3900, 7200, 187_000)]
    assert told == ["?", "0s", "12s", "3m 20s", "1h 5m", "2h", "2d 3h"]
