"""Every part of a cluster works with the rights in deploy/, and can do nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from inkmill import names
from inkmill.backends.broker import connect
from inkmill.backends.queue import Queue
from inkmill.backends.store import open_store
from inkmill.cli.checks.redis import check_redis
from inkmill.cli.checks.store import check_store
from inkmill.desk.people.throttle import Throttle
from inkmill.errors import StoreDenied, Unreachable
from inkmill.lifecycle.reconcile import sweep
from inkmill.local.workers import LocalWorkers
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import cancel, delete, results, submit, wait
from inkmill.producer import connect as connect_producer
from inkmill.producer.overview import overview
from tests.faults import checker
from tests.integration import images
from tests.parts import PARTS, PartedStack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[PartedStack]:
    with PartedStack(tmp_path_factory.mktemp("parts")) as running:
        running.settings = running.settings.model_copy(update={"cache_dir": cache_folder})
        running.admit()
        yield running
        running.kill("s3")


@pytest.fixture(scope="module")
def worker(stack: PartedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkers]:
    """A worker with a worker's rights, and a model that the trainer published with its own."""
    Registry(open_store(stack.of("trainer")), stack.settings.model).publish(load())
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with LocalWorkers(stack.of("worker"), 1, log) as workers:
        workers.wait_ready()
        yield workers


def test_the_whole_pipeline_works_under_these_rights(
    stack: PartedStack, worker: LocalWorkers, tmp_path: Path
) -> None:
    """Redis notes each refusal: none may have been passed over. Messages are signed."""
    stack.refusals()
    producer, desk = stack.of("producer"), stack.of("desk")
    folder = images.digits(tmp_path / "scans", 60)
    submit(folder, name="all", chunk_size=10, settings=producer)
    Queue(stack.settings).client.delete(*names.hints("all"), *names.queues("normal"))
    assert wait("all", timeout=60, settings=producer).rows == 60
    assert [row.digit for row in results("all", settings=producer)] == [
        str(n % 10) for n in range(60)
    ]
    submit(folder, name="cancelled", chunk_size=1, settings=desk)
    cancel("cancelled", settings=desk)
    assert overview(connect_producer(stack.of("metrics"))).redis
    for label, settings in (("all", producer), ("cancelled", desk)):
        delete(label, settings=settings)
    operator = Queue(stack.settings)
    assert operator.aside() == 0
    operator.send("all", 0, "high")  # has no key
    checker.until(lambda: operator.aside() == 1, 20, "what is not signed is set aside")
    admin = open_store(stack.settings)
    checker.until(lambda: not [*admin.list("jobs/"), *admin.list("open/")], 20, "all is deleted")
    assert stack.refusals() == []


def test_what_a_quiet_run_does_not_need_is_allowed_as_well(stack: PartedStack) -> None:
    """Attempts, sweeps, leases, sign-ins: what happens only after faults, or at the desk."""
    stack.refusals()
    for part in ("worker", "producer", "desk"):
        queue, store = Queue(stack.of(part)), open_store(stack.of(part))
        queue.offer(part, range(3))
        queue.feed(part, "low")
        queue.requeue(part, [0])
        queue.recall(part, {1: 2})
        queue.recount(part)
        queue.busy(part)
        queue.speed("digits/digits")
        queue.lengths()
        sweep(store, queue, 0.001, force=True)
        queue.may_expire(0.001)
        queue.wait_end(part, 0.01) if part != "worker" else queue.begin(part, 1, "aaaaaaaa")
        queue.end(part)
    worker = Queue(stack.of("worker"))
    worker.begin("w", 1, "bbbbbbbb")
    worker.give_back("w", 1, "bbbbbbbb")
    worker.report_speeds({"digits/digits": 5000.0})
    desk = Queue(stack.of("desk"))
    assert desk.lease("d", "ann", 5.0, ["1"]) == "1"
    assert desk.hold("d", "ann", 5.0, "1") == ""
    desk.release("d", "ann", "1")
    desk.assign("d", "ann", 5.0, ["1"])
    desk.revoke("d", ["1"])
    throttle = Throttle(desk.client)
    throttle.begin("ann", "127.0.0.1")
    throttle.succeeded("ann", "127.0.0.1")
    key = names.desk_report("d")
    desk.client.set(key, "making", ex=5)
    desk.client.delete(key)
    assert stack.refusals() == []


@pytest.mark.parametrize("part", ["producer", "worker", "desk"])
def test_doctor_works_with_the_rights_of_a_part(stack: PartedStack, part: str) -> None:
    settings = stack.of(part)
    found = [
        *check_redis(Queue(settings)),
        *check_store(open_store(settings), settings.s3_endpoint),
    ]
    assert [each for each in found if not each.fine] == []
    assert "this user reaches Inkmill's keys only" in [each.seen for each in found]
    assert list(open_store(stack.settings).list("doctor/")) == []
    stack.refusals()  # it tries what it may not


_EVERYBODY = ("FLUSHALL", "KEYS *", "CONFIG GET *", "ACL LIST", "SCRIPT FLUSH", "DEBUG SLEEP 0")
_OTHERS = ("GET secret-of-others", "SET secret-of-others 1", "DEL secret-of-others")
_FORBIDDEN = {
    "producer": ("RPOP inkmill.normal", "BRPOP inkmill.normal 1", "RENAME inkmill.low inkmill.x"),
    "worker": ("GET inkmill:desk:tries:ann", "DEL inkmill:desk:tries:ann"),
    "metrics": (
        *("LPUSH inkmill.normal x", "DEL inkmill.normal", "HSET inkmill:workers a b"),
        *("GET inkmill:desk:tries:ann", "ZREM inkmill:unacked_index x", "HDEL inkmill:unacked x"),
        "EVAL return(1) 0",
    ),
    "desk": ("RPOP inkmill.normal", "BRPOP inkmill.normal 1", "RENAME inkmill.low inkmill.x"),
    "trainer": ("HGETALL inkmill:job:a:progress", "GET inkmill:desk:tries:ann"),
}


@pytest.mark.parametrize("part", PARTS)
def test_redis_refuses_everything_else(stack: PartedStack, part: str) -> None:
    client: Any = connect(stack.of(part))
    for command in (*_EVERYBODY, *_OTHERS, *_FORBIDDEN[part]):
        with pytest.raises(NoPermissionError):
            client.execute_command(*command.split())
    with pytest.raises(ResponseError, match=r"can't|permission"):
        client.eval("return redis.call('ZADD', 'secret-of-others', 1, 'x')", 0)


def test_a_password_is_changed_without_a_pause(stack: PartedStack) -> None:
    """As docs/how-to/secure.md says it."""
    operator: Any = connect(stack.settings)
    old = stack.of("metrics")
    new = old.model_copy(
        update={"redis_url": old.redis_url.replace("PASSWORD_OF_METRICS", "another")}
    )
    operator.execute_command("ACL", "SETUSER", "inkmill-metrics", ">another")
    assert Queue(old).lengths() == Queue(new).lengths()
    operator.execute_command("ACL", "SETUSER", "inkmill-metrics", "<PASSWORD_OF_METRICS")
    with pytest.raises(Unreachable, match="Redis refuses the password"):
        Queue(old).lengths()
    assert Queue(new).lengths()
    operator.execute_command("ACL", "SETUSER", "inkmill-metrics", ">PASSWORD_OF_METRICS")


_REFUSED = {
    "producer": ("put models/m", "get desk/people/a.json", "list desk/", "put forms/f.yaml"),
    "worker": (
        *("put models/m", "delete models/m", "get desk/people/a.json", "list desk/"),
        *("put watches/w", "put forms/f.yaml", "put acceptance/a"),
    ),
    "metrics": (
        *("put jobs/a/job.json", "get jobs/a/chunks/00000.parquet", "list models/"),
        *("get jobs/a/results/00000.parquet", "delete jobs/a/job.json", "list desk/"),
    ),
    "desk": ("put models/m", "delete models/m", "list runs/", "put watches/w"),
    "trainer": (
        *("get jobs/a/job.json", "get jobs/a/chunks/00000.parquet", "list jobs/", "list desk/"),
        *("put jobs/a/job.json", "get desk/people/a.json", "delete jobs/a/job.json"),
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_the_bucket_refuses_everything_else(stack: PartedStack, part: str) -> None:
    admin, store = open_store(stack.settings), open_store(stack.of(part))
    for key in ("jobs/a/job.json", "jobs/a/chunks/00000.parquet", "desk/people/a.json", "models/m"):
        admin.put(key, b"secret")
    for each in _REFUSED[part]:
        verb, key = each.split()
        tries: dict[str, Callable[[], object]] = {
            "get": lambda: store.get(key),  # noqa: B023
            "put": lambda: store.put(key, b"x"),  # noqa: B023
            "delete": lambda: store.delete([key]),  # noqa: B023
            "list": lambda: list(store.list(key)),  # noqa: B023
        }
        with pytest.raises(StoreDenied):
            tries[verb]()
    with pytest.raises(store.client.exceptions.ClientError):
        store.client.create_bucket(Bucket=f"another-{secrets.token_hex(4)}")
    assert admin.get("models/m").data == b"secret"
