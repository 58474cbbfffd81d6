"""Redis that dies or holds rubbish, jobs that are deleted: the short version of tests/faults."""

from __future__ import annotations

import base64
import json
import time

import pytest

from inkmill import names, producer
from inkmill.backends.broker import UNACKED, UNACKED_INDEX
from inkmill.backends.queue import Queue
from inkmill.errors import NotFound
from inkmill.local.servers import Stack
from inkmill.records.messages import Message
from inkmill.settings import Settings
from inkmill.worker.app import make_app
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.test_messages import nothing_left


def test_redis_dies_and_comes_back_while_a_job_runs(cluster: Cluster) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    work = cluster.work(300, workload.marked(1, 300, "slow=0.02"))
    job = cluster.submit(work)
    checker.until(lambda: cluster.results(job) > 1, 30, "chunks are read")
    cluster.stack.kill("redis")
    time.sleep(2.0)
    cluster.stack.start_redis()
    cluster.stack.wait_until_ready()
    cluster.wait(job, 90)
    assert worker.poll() is None
    cluster.verify(job, work)


def test_a_worker_outlives_a_deleted_job_and_rubbish_in_the_queue(
    cluster: Cluster,
) -> None:
    (worker,) = cluster.start(faults=["decoder"])
    deleted = cluster.work(300, workload.marked(1, 300, "slow=0.02"), name="deleted")
    job = cluster.submit(deleted, name="fleeting")
    checker.until(lambda: cluster.results(job) > 1, 30, "chunks are read")
    producer.delete(job, connection=cluster.connection)
    with pytest.raises(NotFound):
        producer.status(job, connection=cluster.connection)
    checker.until(lambda: not cluster.queue.present(), 30, "late writers are done")
    time.sleep(2 * cluster.settings.reconcile_interval)
    assert nothing_left(cluster, job)

    work = cluster.work(60)
    job = cluster.submit(work)
    for rubbish in (b"\xff\x00", b"{}", b"[" * 9999):
        cluster.queue.client.lpush(names.queue("normal"), rubbish)
    cluster.wait(job, 60)
    checker.until(lambda: not sum(cluster.queue.lengths().values()), 30, "queues are empty")
    assert worker.poll() is None
    redis = cluster.queue.client
    checker.until(lambda: int(redis.get(names.ASIDE_COUNT) or 0) == 3, 10, "all are set aside")
    cluster.verify(job, work)


def test_an_ack_that_redis_missed_is_made_up_for(stack: Stack, settings: Settings) -> None:
    """Else the message would be renewed for an hour, and its place in the worker lost."""
    sender = Queue(settings)
    sender.send("late", 0, "normal")
    app = make_app(settings)
    connection = app.connection_for_read()
    (queue,) = (each for each in app.conf.task_queues if each.name == names.queue("normal"))
    message = queue(connection.default_channel).get()
    qos, redis = message.channel.qos, sender.client
    assert redis.hlen(UNACKED) == 1
    stack.kill("redis")
    message.ack()
    assert not set(qos._delivered) - qos._dirty
    stack.start_redis()
    stack.wait_until_ready()
    assert redis.hlen(UNACKED) == 1
    qos.restore_visible(interval=1)
    assert (redis.hlen(UNACKED), redis.zcard(UNACKED_INDEX)) == (0, 0)
    connection.close()


def hostile_entries() -> list[bytes]:
    """Entries that name a chunk and ask for more, or name none: each ended a worker of Celery's."""
    good = Message("no-such-job", 0)

    def entry(body: object = None, **headers: object) -> bytes:
        made = good.envelope(names.queue("normal"), "tag")
        made["headers"] |= headers
        if body is not None:
            made["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        return json.dumps(made).encode()

    fields = good.encode()
    asking = [
        entry(timelimit="x"),
        entry(timelimit=[1]),
        entry(timelimit={"a": 1}),
        entry(eta="garbage"),
        entry(eta="2999-01-01T00:00:00+00:00"),
        entry(expires=[1]),
        entry(retries={}, group=[], chord=7, shadow=[1]),
        entry([[], fields, {"callbacks": [{"task": "os.system", "args": ["id"]}], "chord": 1}]),
        entry(compression="nosuch"),
        entry(stamped_headers=["a"], stamps={"a": 1}),
        entry(id=["no", "text"], root_id=7),
    ]
    strays = [
        entry([[], fields]),
        entry([[], fields, {}, 1, 2]),
        entry([[], fields, "x"]),
        entry([[1, 2, 3], fields, {}]),
        json.dumps({"body": "", "headers": [], "properties": {}}).encode(),
        b"[" * 100_000,
        b'{"a":"' + b"x" * (1 << 20) + b'"}',
        b"\xff\xfe",
    ]
    return asking + strays


STRAYS = 8


def test_a_worker_outlives_whatever_a_message_asks_for(cluster: Cluster) -> None:
    """Before its start and while it runs; also junk among the messages in hand."""
    redis, queue = cluster.queue.client, names.queue("normal")
    for number, junk in enumerate((b"", b"no json", b"[]", b"[" * 5000, b'["x", "", "y"]')):
        redis.hset(UNACKED, f"junk-{number}", junk)
        redis.zadd(UNACKED_INDEX, {f"junk-{number}": number})
    redis.set(names.queue("high"), "not a list")
    for each in hostile_entries():
        redis.lpush(queue, each)
    (worker,) = cluster.start()
    work = cluster.work(40)
    cluster.wait(cluster.submit(work), 60)
    for each in hostile_entries():
        redis.lpush(queue, each)
    redis.delete(UNACKED)
    redis.set(UNACKED, "not a hash")
    # In one step: the worker may write its own index in between.
    together = redis.pipeline()
    together.delete(UNACKED_INDEX)
    together.xadd(UNACKED_INDEX, {"not": "a sorted set"})
    together.execute()
    job = cluster.submit(work, name="after")
    cluster.wait(job, 60)
    checker.until(lambda: not sum(cluster.queue.lengths().values()), 30, "queues are empty")
    checker.until(lambda: redis.type(UNACKED_INDEX) != b"stream", 30, "the index is one again")
    assert worker.poll() is None
    assert int(redis.get(names.ASIDE_COUNT) or 0) == 2 * STRAYS + 5
    assert cluster.words().count("was set aside") == 2 * STRAYS + 5
    for key in (names.queue("high"), UNACKED, UNACKED_INDEX):
        assert redis.exists(names.ASIDE_KEYS + key)
    cluster.verify(job, work)
    assert cluster.leave(worker)[0] == 0
