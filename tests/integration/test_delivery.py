"""Redis that dies or holds rubbish, jobs that are deleted: the short version of tests/faults."""

from __future__ import annotations

import time

import pytest

from inkmill import names, producer
from inkmill.backends.broker import UNACKED, UNACKED_INDEX
from inkmill.backends.queue import Queue
from inkmill.errors import NotFound
from inkmill.local.servers import Stack
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
    assert int(cluster.queue.client.get(names.ASIDE_COUNT) or 0) == 3
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
