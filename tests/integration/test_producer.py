"""The producer on real servers: killed and repeated, with other buckets, by the command."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store, open_store
from inkmill.cli.servers import publish_shipped
from inkmill.codes import Code, Status
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.invariants import judge
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import cancel, connect, delete, jobs, results, resume, status, submit, wait
from inkmill.settings import Settings
from tests.fakes import png

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


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


def command(settings: Settings, *arguments: object) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "inkmill", *map(str, arguments)],
        env={**os.environ, **settings.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_submit_that_is_killed_again_and_again(
    settings: Settings,
    store: S3Store,
    queue: Queue,
    scans: Callable[[int], Path],
    start_workers: Callable[..., object],
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


def test_the_command_from_scans_to_table(
    settings: Settings, scans: Callable[[int], Path], start_workers: Callable[..., object]
) -> None:
    folder = scans(30)
    (folder / "notes.txt").write_text("no image")
    start_workers(1)
    done = command(settings, "submit", folder, "--name", "a", "--wait", "--strict")
    out, err = done.communicate(timeout=120)
    assert (done.returncode, out) == (3, "a\n"), err
    assert "Traceback" not in err
    table, _ = command(settings, "results", "a").communicate(timeout=60)
    lines = list(csv.DictReader(io.StringIO(table)))
    assert len(lines) == 31
    assert lines[30]["code"] == "NOT_AN_IMAGE"
    # A few bright dots are no digit, but each has its row, with a confidence.
    assert all(line["status"] != "error" and line["confidence"] for line in lines[:30])
    example = subprocess.run(
        [sys.executable, EXAMPLES / "producer.py", folder],
        env={**os.environ, **settings.environment()},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "31 rows:" in example.stdout


def test_objects_of_another_bucket(
    settings: Settings, start_workers: Callable[..., object]
) -> None:
    bucket = f"scans-{secrets.token_hex(4)}"
    theirs = open_store(settings.model_copy(update={"s3_bucket": bucket}))
    theirs.create_bucket()
    for number in range(3):
        theirs.client.put_object(Bucket=bucket, Key=f"in/{number}.png", Body=png(number))
    allowed = settings.model_copy(update={"input_buckets": (bucket,)})
    start_workers(1, input_buckets=(bucket,))
    job = submit(f"s3://{bucket}/in/", name="theirs", settings=allowed)
    wait(job, timeout=60, settings=allowed)
    rows = list(results(job, settings=allowed))
    assert [row.source for row in rows] == ["0.png", "1.png", "2.png"]
    # Dots are no digit; that they were fetched and looked at shows in the model that read them.
    assert all(row.model and row.status is not Status.ERROR for row in rows)


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


def test_the_demo_takes_the_model_of_this_version(settings: Settings) -> None:
    """Its store may hold what an earlier version shipped; people's own stores keep theirs."""
    shipped = load()
    manifest = dataclasses.replace(shipped.manifest, created="2020-01-01T00:00:00+00:00")
    registry = Registry(open_store(settings), settings.model)
    earlier = registry.publish(dataclasses.replace(shipped, manifest=manifest))
    assert earlier != shipped.manifest.version
    assert publish_shipped(settings) == earlier
    assert publish_shipped(settings, replace=True) == shipped.manifest.version
    assert publish_shipped(settings) == shipped.manifest.version
