"""The producer on real servers: killed and repeated, flushed, with other buckets."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store, open_store
from inkmill.codes import Code
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.invariants import judge
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import cancel, connect, delete, jobs, results, resume, status, submit, wait
from inkmill.settings import Settings
from tests.fakes import png
from tests.integration import images
from tests.integration.processes import command

Start = Callable[..., object]


@pytest.fixture(autouse=True)
def version(settings: Settings, store: S3Store) -> str:
    return Registry(store, settings.model).publish(load())


@pytest.fixture
def scans(tmp_path: Path) -> Callable[[int], Path]:
    def make(count: int) -> Path:
        folder = tmp_path / "scans"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:05d}.png").write_bytes(png(number))
        return folder

    return make


def test_a_submit_that_is_killed_again_and_again(
    settings: Settings,
    store: S3Store,
    queue: Queue,
    scans: Callable[[int], Path],
    start_workers: Start,
) -> None:
    folder = scans(6000)
    arguments = ("submit", folder, "--name", "again", "--chunk-size", 40)
    start_workers(1)
    dice, kills = random.Random(5), 0
    for _ in range(6):
        running = command(settings, *arguments)
        time.sleep(dice.uniform(0.5, 1.6))
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
            kills += 1
        running.communicate()
    last = command(settings, *arguments)
    out, err = last.communicate(timeout=120)
    assert (last.returncode, out) == (0, "again\n"), err
    assert kills
    ended = wait("again", timeout=120, settings=settings)
    assert (ended.state, ended.rows, ended.chunks) == ("finished", 6000, 150)
    assert judge(store, queue, "again").problems == ()


def test_without_workers_a_job_can_be_flushed_resumed_cancelled_and_deleted(
    settings: Settings, store: S3Store, queue: Queue, scans: Callable[[int], Path]
) -> None:
    cluster = connect(settings)
    folder = scans(20)
    job = submit(folder, chunk_size=4, connection=cluster)
    assert queue.lengths()["normal"] == 5
    queue.client.flushall()
    assert resume(job, connection=cluster) == 5
    assert queue.lengths()["normal"] == 5
    assert status(job, connection=cluster).in_flight == 5
    assert cancel(job, connection=cluster) == 20
    assert {row.code for row in results(job, connection=cluster)} == {Code.CANCELLED}
    assert [each.state for each in jobs(connection=cluster)] == ["cancelled"]
    delete(job, connection=cluster)
    assert list(jobs(connection=cluster)) == []
    assert list(store.list(names.JOBS)) == []
    assert queue.hints(job) == []
    assert reconcile.sweep(store, queue, 0.1, force=True) == 0


def test_images_in_the_users_own_bucket_are_read_by_key(
    tmp_path: Path, settings: Settings, stack: object, start_workers: Start
) -> None:
    settings = settings.model_copy(update={"input_buckets": ("scans",)})
    theirs = open_store(settings.model_copy(update={"s3_bucket": "scans"}))
    theirs.create_bucket()
    for number in range(4):
        # As other programs write them, without our digest.
        theirs.client.put_object(Bucket="scans", Key=f"in/{number}.png", Body=images.png(number))
    job = submit("s3://scans/in/", settings=settings)
    theirs.delete(["in/2.png"])  # vanishes between submit and reading
    start_workers(input_buckets=("scans",))
    wait(job, timeout=60, settings=settings)

    rows = list(results(job, settings=settings))
    assert [row.source for row in rows] == [f"{number}.png" for number in range(4)]
    assert [row.digit for row in rows] == ["0", "1", "", "3"]
    assert rows[2].code is Code.MISSING


def test_a_flushed_redis_costs_time_and_nothing_else(
    tmp_path: Path, settings: Settings, queue: Queue, start_workers: Start
) -> None:
    folder = images.digits(tmp_path / "scans", 200)
    job = submit(folder, chunk_size=10, settings=settings)
    queue.client.flushall()
    start_workers()
    wait(job, timeout=60, settings=settings)

    rows = list(results(job, settings=settings))
    assert [row.digit for row in rows] == [str(n % 10) for n in range(200)]
    assert status(job, settings=settings).state == "finished"
