"""Windows, presence and progress, on fakeredis; integration tests run the contract on Redis."""

from __future__ import annotations

import fakeredis
import pytest

from inkmill.backends.queue import Queue
from inkmill.errors import Unreachable
from inkmill.settings import Settings
from tests.contracts import QueueContract
from tests.fakes import FakeQueue


class TestFakeRedis(QueueContract):
    @pytest.fixture
    def queue(self) -> Queue:
        return FakeQueue(Settings(window=3), fakeredis.FakeStrictRedis())


def test_the_window_grows_with_the_workers() -> None:
    queue = FakeQueue(Settings(), fakeredis.FakeStrictRedis())
    assert queue.window() == 6
    for worker in range(4):
        queue.report_worker(str(worker), 5)
    assert queue.window() == 30


def test_a_worker_that_fell_silent_does_not_count() -> None:
    queue = FakeQueue(Settings(), fakeredis.FakeStrictRedis())
    queue.report_worker("here", 2)
    queue.client.hset("inkmill:workers", "silent", '{"slots": 9, "seen": 1000}')
    queue.client.hset("inkmill:workers", "junk", "no json")
    assert queue.workers() == {"here": 2}


def test_redis_that_is_away_is_unreachable_with_words() -> None:
    server = fakeredis.FakeServer()
    queue = FakeQueue(Settings(), fakeredis.FakeStrictRedis(server=server))
    server.connected = False
    with pytest.raises(Unreachable, match="INKMILL_REDIS_URL"):
        queue.offer("a", [1])


def test_a_refused_connection_is_unreachable() -> None:
    queue = Queue(Settings(redis_url="redis://127.0.0.1:1/0", redis_timeout=0.5))
    with pytest.raises(Unreachable, match="Redis does not answer"):
        queue.lengths()
