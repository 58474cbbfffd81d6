"""Submits that are killed, messages that are none of ours, crowds, and jobs that are stopped."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from inkmill import names, producer
from inkmill.backends.store import exists
from inkmill.codes import Code
from inkmill.errors import NotFound
from inkmill.lifecycle import reconcile
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome
from tests.faults.workload import Workload


def submit_command(
    cluster: Cluster, work: Workload, name: str, faults: list[str], put: int = 0
) -> int:
    """`inkmill submit` in a process of its own; returns its exit code, negative for a signal."""
    command = [sys.executable, "-m", "inkmill.cli.main", "submit", str(work.folder)]
    done = subprocess.run(
        [*command, "--name", name, "--chunk-size", "20"],
        env=cluster.process_environment(faults, {"FAULT_PUT": str(put)}),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode


@pytest.mark.scenario(20)
def test_a_submit_killed_at_each_step_then_repeated(cluster: Cluster, found: Outcome) -> None:
    """100 images in 5 chunks: marker, record, name, five chunks and the seal are nine puts."""
    work = cluster.work(100)
    (worker,) = cluster.start()
    puts = [-1, 1, 2, 3, 4, 6, -8, 9]
    for put in puts:
        name = f"killed-{'before' if put < 0 else 'after'}-{abs(put)}"
        assert submit_command(cluster, work, name, ["put_counts"], put) == -9
        assert submit_command(cluster, work, name, []) == 0
        cluster.wait(name, 30)
        found.struck()
        cluster.verify(name, work)
    # Else its reconciler may send the chunks of the sealed job before the submit does.
    worker.send_signal(signal.SIGSTOP)
    cluster.arm("before_send")
    assert submit_command(cluster, work, "killed-before-send", ["before_send"]) == -9
    worker.send_signal(signal.SIGCONT)
    assert submit_command(cluster, work, "killed-before-send", []) == 0
    found.struck(recovery=cluster.wait("killed-before-send", 30))
    cluster.verify("killed-before-send", work)
    assert worker.poll() is None


@pytest.mark.scenario(20)
def test_a_submit_killed_after_the_seal_needs_no_repetition(
    cluster: Cluster, found: Outcome
) -> None:
    work = cluster.work(100)
    cluster.arm("before_send")
    cluster.queue.client.set("unrelated", 1)
    assert submit_command(cluster, work, "sealed", ["put_counts"], 9) == -9
    cluster.queue.client.flushall()
    cluster.start()
    found.struck(recovery=cluster.wait("sealed", 30))
    cluster.verify("sealed", work)


@pytest.mark.scenario(20)
def test_a_small_submit_killed_at_each_step(cluster: Cluster, found: Outcome) -> None:
    """One image without a name: marker, chunk and record are three puts; the last makes the job."""
    work = cluster.work(1)
    command = [sys.executable, "-m", "inkmill.cli.main", "submit", str(work.folder)]
    cluster.queue.client.set("unrelated", 1)
    for put in (-1, 1, 2, 3):
        environment = cluster.process_environment(["put_counts"], {"FAULT_PUT": str(put)})
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == -9
        found.struck()
    jobs = {entry.key.split("/")[1] for entry in cluster.store.list(names.JOBS)}
    records = {job for job in jobs if exists(cluster.store, names.job_record(job))}
    markers = list(cluster.store.list(names.OPEN))
    # Each kill but the first leaves a marker, by which a sweep finds what else it left.
    assert (len(markers), len(jobs), len(records)) == (3, 2, 1)
    (job,) = records
    cluster.queue.client.flushall()
    cluster.start()
    found.struck(recovery=cluster.wait(job, 30))
    cluster.verify(job, work)


def _envelope(cluster: Cluster, **kwargs: object) -> dict[str, object]:
    """A message as Celery makes it, taken back from the queue."""
    cluster.queue.send("stray", 0, "normal")
    (entry,) = cluster.queue.client.lrange("inkmill.normal", 0, -1)
    cluster.queue.client.delete("inkmill.normal")
    message: dict[str, object] = json.loads(entry)
    body = [[], {"schema": 1, "job": "stray", "chunk": 0, **kwargs}, {}]
    message["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return message


@pytest.mark.scenario(21)
def test_messages_that_are_none_of_ours(cluster: Cluster, found: Outcome) -> None:
    def changed(**parts: object) -> bytes:
        return json.dumps({**_envelope(cluster), **parts}).encode()

    def with_fields(**fields: object) -> bytes:
        return json.dumps(_envelope(cluster, **fields)).encode()

    headers = _envelope(cluster)["headers"]
    assert isinstance(headers, dict)
    strays = [
        b"\x00\xff raw bytes \xfe",
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 10_000,
        json.dumps({"a": "x" * 200_000}).encode(),
        changed(headers={**headers, "task": "os.system"}),
        changed(headers={**headers, "task": "celery.backend_cleanup"}),
        changed(body="!!! not base64 !!!"),
        changed(properties=None),
        changed(**{"content-type": "application/x-python-serialize"}),
        with_fields(schema=99),
        with_fields(job="../../etc"),
        with_fields(job="x" * 500),
        with_fields(chunk=-1),
        with_fields(chunk="0"),
        with_fields(surplus=True),
    ]
    (worker,) = cluster.start()
    work = cluster.work(100)
    job = cluster.submit(work)
    for stray in strays:
        for queue in ("inkmill.high", "inkmill.normal"):
            cluster.queue.client.lpush(queue, stray)
    found.struck(2 * len(strays), recovery=cluster.wait(job, 60))
    checker.until(lambda: not sum(cluster.queue.lengths().values()), 30, "queues are empty")
    assert worker.poll() is None
    assert int(cluster.queue.client.get(names.ASIDE_COUNT) or 0) == 2 * len(strays)
    assert cluster.queue.client.llen(names.ASIDE) == 2 * len(strays)
    assert cluster.words().count("was set aside") == 2 * len(strays)
    cluster.verify(job, work)


@pytest.mark.scenario(21)
def test_messages_that_come_again_or_too_late(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start()
    work = cluster.work(100)
    job = cluster.submit(work)
    for number in (*range(5), 99):  # replayed while it runs; and a chunk that is none
        cluster.queue.send(job, number, "high")
    cluster.wait(job, 60)
    gone = cluster.submit(work, name="gone")
    cluster.wait(gone, 60)
    producer.delete(gone, connection=cluster.connection)
    for number in (*range(5), 99):  # after its end, and after its delete
        cluster.queue.send(job, number, "low")
        cluster.queue.send(gone, number, "low")
    found.struck(18)
    checker.until(lambda: not cluster.queue.present(), 30, "all are taken")
    assert worker.poll() is None
    cluster.verify(job, work)
    assert nothing_left(cluster, gone)


def nothing_left(cluster: Cluster, job: str) -> bool:
    """Whether neither the store nor Redis know anything of a job."""
    objects = [entry.key for entry in cluster.store.list(names.job_root(job))]
    objects += [entry.key for entry in cluster.store.list(names.open_marker(job))]
    return objects == [] and cluster.queue.hints(job) == []


@pytest.mark.scenario(26)
def test_many_who_look_send_nothing_twice(cluster: Cluster, found: Outcome) -> None:
    """Five workers, three waiters and two reconcilers at one job whose messages get lost."""
    interval = cluster.settings.reconcile_interval
    work = cluster.work(400, workload.marked(1, 400, "slow=0.02"))
    job = cluster.submit(work)
    # While nobody listens, so that there are some: five workers leave the queue empty.
    lost = sum(cluster.queue.client.rpop("inkmill.normal") is not None for _ in range(4))
    assert lost == 4
    cluster.start(5, faults=["decoder"], window=10)
    stop = threading.Event()

    def look() -> None:
        connection = cluster.connection
        while not stop.wait(0.05):
            reconcile.sweep(connection.store, connection.queue, interval)

    crowd = [threading.Thread(target=look) for _ in range(2)]
    crowd += [
        threading.Thread(target=lambda: producer.wait(job, connection=cluster.connection))
        for _ in range(3)
    ]
    for each in crowd:
        each.start()
    began = time.monotonic()
    while not cluster.done(job):
        lost += cluster.queue.client.rpop("inkmill.normal") is not None
        time.sleep(0.3)
    stop.set()
    for each in crowd:
        each.join()
    found.struck(lost, recovery=time.monotonic() - began)
    # Each chunk is read once, and once more for no loss: a lost message was read by nobody.
    assert cluster.words().count("chunk read") == 20
    assert "another worker wrote the rows first" not in cluster.words()
    cluster.verify(job, work)


@pytest.mark.scenario(27)
def test_cancelled_while_it_runs(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(400, workload.marked(1, 400, "slow=0.02"))
    job = cluster.submit(work)
    checker.until(lambda: cluster.results(job) > 3, 30, "chunks are read")
    began = time.monotonic()
    cancelled = producer.cancel(job, connection=cluster.connection)
    found.struck(recovery=time.monotonic() - began)
    checker.until(lambda: not cluster.queue.present(), 30, "late writers are done")
    time.sleep(2 * cluster.settings.reconcile_interval)
    rows = cluster.promised_rows(job)
    assert cluster.promise(job) == ()
    assert [row.item for row in rows] == list(range(400))
    assert sum(row.code is Code.CANCELLED for row in rows) == cancelled > 0
    for row in rows:
        if row.code is not Code.CANCELLED:
            cluster.as_calm(row, work)
    assert producer.status(job, connection=cluster.connection).state == "cancelled"
    assert worker.poll() is None


@pytest.mark.scenario(27)
def test_deleted_while_it_runs(cluster: Cluster, found: Outcome) -> None:
    workers, gone = cluster.start(2, faults=["decoder"]), list[str]()
    for turn in range(4):
        work = cluster.work(400, workload.marked(1, 400, "slow=0.02"), name=f"scans-{turn}")
        job = cluster.submit(work, name="fleeting")
        gone.append(job)
        checker.until(lambda: cluster.results(gone[-1]) > 2, 30, "chunks are read")
        time.sleep(0.11 * turn)
        producer.delete(job, connection=cluster.connection)
        found.struck()
        with pytest.raises(NotFound):
            producer.status(job, connection=cluster.connection)
    checker.until(lambda: not cluster.queue.present(), 30, "late writers are done")
    time.sleep(3 * cluster.settings.reconcile_interval)
    assert all(nothing_left(cluster, each) for each in gone)
    # The name is free for another job.
    work = cluster.work(60, name="scans-new")
    job = cluster.submit(work, name="fleeting")
    found.struck(recovery=cluster.wait(job, 60))
    assert all(worker.poll() is None for worker in workers)
    cluster.verify(job, work)


@pytest.mark.scenario(27)
def test_deleted_and_submitted_again_at_once(cluster: Cluster, found: Outcome) -> None:
    cluster.start(2, faults=["slow_chunks"], environment={"FAULT_SECONDS": "1"})
    before = cluster.work(100, name="before")
    job = cluster.submit(before, name="again")
    checker.until(lambda: cluster.queue.client.hlen("inkmill:unacked") > 3, 30, "in hand")
    producer.delete(job, connection=cluster.connection)
    # Other images in the same places: rows of the deleted job would be wrong ones here.
    after = workload.build(cluster.folder / "after", 140)
    for number in range(40):
        (after.folder / workload.source(number)).unlink()
    job = cluster.submit(after, name="again")
    found.struck(recovery=cluster.wait(job, 60))
    cluster.verify(job, after)


@pytest.mark.scenario(27)
def test_a_new_revision_while_the_first_runs(
    cluster: Cluster, found: Outcome, tmp_path: Path
) -> None:
    cluster.start(faults=["decoder"])
    first = cluster.work(200, workload.marked(1, 200, "slow=0.02"), name="first")
    job = cluster.submit(first, name="revised")
    second = cluster.work(100, name="second")
    revision = cluster.submit(second, name="revised", new_revision=True)
    assert producer.status(revision, connection=cluster.connection).job == "revised-r2"
    cluster.wait(revision, 60)
    found.struck(recovery=cluster.wait(job, 60))
    cluster.verify(job, first)
    cluster.verify(revision, second)
