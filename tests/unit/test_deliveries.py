"""Messages in the hands of workers that die, freeze, and are cut off, by a clock that is turned."""

from __future__ import annotations

import logging
import time
from typing import Any

import fakeredis
import pytest

from inkmill import names
from inkmill.backends.broker import UNACKED, UNACKED_INDEX, UNACKED_MUTEX
from inkmill.backends.queue import Queue, deliveries
from inkmill.backends.queue.aside import MOST_ENTRIES, set_aside
from inkmill.records.messages import Delivery, Message
from inkmill.settings import Settings

TIMEOUT = 300.0
QUEUE = names.queue("normal")


class Clock:
    """Redis's clock, and with it that of everything here."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


class Cluster:
    """Workers that do what a worker does every five seconds, as far as they are alive."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.client = fakeredis.FakeStrictRedis()
        self.alive: dict[str, list[str]] = {}
        self._queues: dict[str, Queue] = {}
        self.sent = 0

    def start(self, worker: str) -> None:
        self.alive[worker] = []
        self._queues[worker] = Queue(Settings(), self.client)

    def take(self, worker: str, count: int = 1, queue: str = QUEUE) -> list[str]:
        """The worker takes messages that were just sent; returns their tags."""
        tags = []
        for _ in range(count):
            self.sent += 1
            tag = f"tag-{self.sent}"
            delivery = Delivery("job", self.sent, queue, f"process of {worker}")
            deliveries.record(self.client, tag, delivery)
            self.alive[worker].append(tag)
            tags.append(tag)
        return tags

    def kill(self, *workers: str) -> None:
        for each in workers:
            del self.alive[each]

    def tick(self, *, renews: bool = True, reports: bool = True) -> int:
        """Five seconds pass; every living worker does its housekeeping."""
        self.clock.now += 5
        given = 0
        for worker, tags in self.alive.items():
            if reports:
                process = f"process of {worker}"
                self._queues[worker].report_worker(worker, 5, process)
            if renews:
                deliveries.renew(self.client, tags)
            given += deliveries.look(self.client, f"process of {worker}", TIMEOUT)
        return given

    def wait(self, seconds: float, **how: bool) -> int:
        return sum(self.tick(**how) for _ in range(int(seconds / 5)))

    def until(self, most: float) -> float:
        """How long until something was given back."""
        began = self.clock.now
        while not self.tick():
            assert self.clock.now - began < most
        return self.clock.now - began

    def queued(self, queue: str = QUEUE) -> list[int]:
        entries: Any = self.client.lrange(queue, 0, -1)
        return [Message.in_entry(each).chunk for each in entries]


@pytest.fixture
def cluster(clock: Clock) -> Cluster:
    return Cluster(clock)


def test_messages_of_a_killed_worker_go_back_within_a_minute(cluster: Cluster) -> None:
    for each in ("dead", "one", "two"):
        cluster.start(each)
    cluster.wait(60)
    cluster.take("one", 2)
    lost = cluster.take("dead", 3)
    cluster.wait(20)
    cluster.kill("dead")
    assert deliveries.SILENT_SECONDS < cluster.until(60) <= 50
    assert sorted(cluster.queued()) == [3, 4, 5]
    assert cluster.client.hlen(UNACKED) == cluster.client.zcard(UNACKED_INDEX) == 2
    assert cluster.wait(600) == 0
    assert not set(lost) & set(map(bytes.decode, cluster.client.hkeys(UNACKED)))


def test_a_worker_that_starts_in_place_of_the_dead_gives_their_messages_back(
    cluster: Cluster,
) -> None:
    """All were killed; the same host and number of process may run again."""
    cluster.start("only")
    cluster.wait(60)
    cluster.take("only", 2)
    cluster.kill("only")
    cluster.start("new")
    assert cluster.until(60) <= 50
    assert sorted(cluster.queued()) == [1, 2]


def test_a_message_goes_back_to_the_front_of_its_own_queue(cluster: Cluster) -> None:
    cluster.start("dead")
    cluster.start("one")
    queue = names.queue("high", single=True)
    cluster.client.lpush(queue, Message("other", 99).entry(queue, "t"))
    cluster.take("dead", queue=queue)
    cluster.wait(30)
    cluster.kill("dead")
    cluster.until(90)
    assert cluster.queued(queue) == [99, 1]  # taken from the right end


@pytest.mark.parametrize(("renews", "reports"), [(True, False), (False, True)])
def test_one_sign_of_life_is_enough(cluster: Cluster, renews: bool, reports: bool) -> None:
    """A housekeeping that hangs, or a loop that does, is no death: the timeout takes care of it."""
    for each in ("one", "two"):
        cluster.start(each)
        cluster.take(each, 2)
    cluster.wait(60)
    assert cluster.wait(TIMEOUT - 20, renews=renews, reports=reports) == 0


def test_a_worker_that_is_stuck_loses_its_messages_after_the_timeout(cluster: Cluster) -> None:
    cluster.start("stuck")
    cluster.start("one")
    cluster.take("stuck", 2)
    cluster.wait(30)
    cluster.alive["stuck"] = []  # it reports, but renews no more
    assert cluster.wait(TIMEOUT - 40) == 0
    assert cluster.wait(60) == 2


def test_a_frozen_worker_that_wakes_in_time_keeps_its_messages(cluster: Cluster) -> None:
    for each in ("frozen", "one"):
        cluster.start(each)
        cluster.take(each)
    cluster.wait(60)
    tags = cluster.alive.pop("frozen")
    assert cluster.wait(30) == 0
    cluster.alive["frozen"] = tags
    assert cluster.wait(300) == 0


@pytest.mark.parametrize("away", [20, 40, 100, TIMEOUT - 60])
def test_an_outage_of_redis_gives_nothing_back(cluster: Cluster, away: float) -> None:
    """Everybody was silent, and comes back one after the other."""
    for number in range(20):
        cluster.start(str(number))
        cluster.take(str(number), 3)
    cluster.wait(60)
    workers = dict(cluster.alive)
    cluster.clock.now += away
    cluster.alive.clear()
    given = 0
    for worker, tags in workers.items():
        cluster.alive[worker] = tags
        given += cluster.tick() if int(worker) % 5 == 0 else 0
    assert given + cluster.wait(120) == 0
    # What died meanwhile is found all the same.
    cluster.kill("7")
    assert cluster.wait(60) == 3


def test_a_clock_that_jumps_does_not_kill_the_living(cluster: Cluster) -> None:
    """Redis failed over to a host whose clock differs by less than the timeout, or is behind."""
    for number in range(5):
        cluster.start(str(number))
        cluster.take(str(number), 3)
    cluster.wait(60)
    for jump in (200.0, -3600.0, 30.0):
        cluster.clock.now += jump
        assert cluster.wait(120) == 0


def test_redis_that_lost_everything_gives_nothing_back(cluster: Cluster) -> None:
    for each in ("one", "two"):
        cluster.start(each)
        cluster.take(each, 3)
    cluster.wait(60)
    cluster.client.flushall()
    assert cluster.wait(400) == 0
    assert cluster.queued() == []


def test_many_who_look_give_back_one_part_at_a_time(cluster: Cluster) -> None:
    for number in range(30):
        cluster.start(f"dead-{number}")
        cluster.take(f"dead-{number}", 9)
    for number in range(30):
        cluster.start(f"live-{number}")
    cluster.wait(60)
    cluster.kill(*(f"dead-{number}" for number in range(30)))
    steps = [cluster.tick() for _ in range(20)]
    assert sum(steps) == 270
    assert max(steps) == deliveries._MOST
    assert len(cluster.queued()) == len(set(cluster.queued())) == 270


def test_an_acknowledged_message_is_not_given_back(cluster: Cluster) -> None:
    cluster.start("one")
    (tag,) = cluster.take("one")
    deliveries.forget(cluster.client, tag)
    assert not deliveries.give_back(cluster.client, tag)
    assert cluster.queued() == []


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"no json",
        b"\xff\xfe",
        b"[" * 5000,
        b"null",
        b"{}",
        b'[{"headers": {}}, "", "inkmill.normal"]',
        b'{"job": "a", "chunk": 0, "queue": "inkmill:workers", "worker": "w", "schema": 1}',
        b'{"job": "a", "chunk": 1e400, "queue": "inkmill.normal", "worker": "w", "schema": 1}',
        b"x" * 100_000,
    ],
)
def test_junk_among_the_deliveries_is_set_aside(
    cluster: Cluster, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.start("one")
    held = cluster.take("one")
    for number, score in enumerate((0.0, 1.0, -1e300, 1e300, float("inf"))):
        cluster.client.hset(UNACKED, f"junk-{number}", junk)
        cluster.client.zadd(UNACKED_INDEX, {f"junk-{number}": score})
    cluster.client.hset(UNACKED, "without a place", junk)
    cluster.client.zadd(UNACKED_INDEX, {"without a record": 5.0, b"\xff": 6.0})
    with caplog.at_level(logging.ERROR):
        assert cluster.wait(2 * TIMEOUT) == 0
    assert cluster.client.hkeys(UNACKED) == [held[0].encode()]
    assert cluster.client.zrange(UNACKED_INDEX, 0, -1) == [held[0].encode()]
    assert Queue(Settings(), cluster.client).aside() == 6
    assert caplog.text.count("was set aside") == 6
    assert cluster.queued() == []


@pytest.mark.parametrize(
    "key", [UNACKED, UNACKED_INDEX, names.WORKERS, names.ASIDE, names.SILENT, QUEUE, UNACKED_MUTEX]
)
def test_a_key_of_another_type_is_renamed(cluster: Cluster, key: str) -> None:
    cluster.start("one")
    cluster.start("dead")
    cluster.wait(60)
    wrong = "stream" if key != names.ASIDE else "string"
    cluster.client.delete(key)
    if wrong == "string":
        cluster.client.set(key, "x")
    else:
        cluster.client.xadd(key, {"a": "b"})
    for worker in cluster.alive:
        deliveries.look(cluster.client, f"process of {worker}", TIMEOUT)
    cluster.clock.now += 5
    deliveries.look(cluster.client, "process of one", TIMEOUT)
    cluster.take("dead")
    cluster.wait(30)
    cluster.kill("dead")
    assert cluster.wait(60) == 1
    if key != UNACKED_MUTEX:  # a lock is simply taken
        assert cluster.client.type(names.ASIDE_KEYS + key) == wrong.encode()


def test_the_list_of_what_was_set_aside_is_bounded() -> None:
    client = fakeredis.FakeStrictRedis()
    for number in range(MOST_ENTRIES + 5):
        set_aside(client, b"x" * 10_000, "a test", f"number {number}")
    queue = Queue(Settings(), client)
    assert queue.aside() == MOST_ENTRIES
    assert client.get(names.ASIDE_COUNT) == str(MOST_ENTRIES + 5).encode()
    assert len(client.lindex(names.ASIDE, 0) or b"") == 4096


def test_a_flood_of_what_is_none_of_ours_does_not_hold_up_the_dead(clock: Clock) -> None:
    """The oldest hundred places were looked at: some thousand older ones cost a dead worker's
    chunks hours."""
    cluster = Cluster(clock)
    for worker in ("a", "b"):
        cluster.start(worker)
    for _ in range(8):
        cluster.tick()
    (tag,) = cluster.take("a")
    places = {f"place-{number}": 0.0 for number in range(5_000)}
    cluster.client.zadd(UNACKED_INDEX, places)
    junk = {f"junk-{number}": b"{" for number in range(120)}
    cluster.client.hset(UNACKED, mapping=junk)
    cluster.client.zadd(UNACKED_INDEX, dict.fromkeys(junk, 1.0))
    cluster.kill("a")
    assert sum(cluster.tick() for _ in range(11)) == 1
    assert cluster.client.llen(QUEUE) == 1
    assert cluster.client.zcard(UNACKED_INDEX) == cluster.client.hlen(UNACKED) == 0
    assert cluster.client.llen(names.ASIDE) == len(junk)
    assert tag not in cluster.alive["b"]
