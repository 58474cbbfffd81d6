"""Whose turn it is: small jobs behind large ones, in Redis and in an engine."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inkmill import names
from inkmill.models import pretrained
from inkmill.producer import submit
from inkmill.records.chunks import Chunk, Item
from inkmill.records.messages import Message
from inkmill.settings import Settings
from inkmill.worker.engine import main as engine_module
from inkmill.worker.engine.inbox import Inbox
from inkmill.worker.link import EVERY_REQUEST, Frame, Link, SharedPosition, receive, send
from inkmill.worker.order import WeightedOrder
from inkmill.worker.pool.handle import engine_config
from tests import fakes

INK = fakes.png(7)
ALL = [queue for priority in names.PRIORITIES for queue in names.queues(priority)]


def served(waiting: Counter[str], turns: int) -> list[str]:
    """What workers take in so many turns from queues that hold so much, as BRPOP does."""
    order, taken = WeightedOrder(ALL), list[str]()
    for _ in range(turns):
        queue = next((each for each in order.consume(len(ALL)) if waiting[each]), None)
        if queue is not None:
            waiting[queue] -= 1
            taken.append(queue)
    return taken


def test_a_single_chunk_goes_before_those_of_a_large_job() -> None:
    single, large = names.queues("normal")
    assert served(Counter({large: 100, single: 1}), 1) == [single]


def test_many_single_chunks_leave_each_fifth_turn_to_large_jobs() -> None:
    single, large = names.queues("normal")
    taken = Counter(served(Counter({large: 100, single: 100}), 40))
    assert taken == {single: 32, large: 8}


def test_no_queue_is_starved() -> None:
    assert set(served(Counter(dict.fromkeys(ALL, 1000)), 80)) == set(ALL)


def test_a_small_job_overtakes_a_large_one(tmp_path: Path) -> None:
    cluster = fakes.FakeCluster()
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.png").write_bytes(fakes.png(number))
    large = submit(folder, chunk_size=2, connection=cluster.connection)
    small = submit(folder / "3.png", connection=cluster.connection)
    assert cluster.queue.lengths()["normal"] == 7
    assert cluster.queue.present() == {names.task_id(small, 0)} | {
        names.task_id(large, number) for number in range(6)
    }
    assert cluster.queue.take() == Message(small, 0)
    following = cluster.queue.take()
    assert following is not None
    assert following.job == large


class Engine:
    """An engine's end of a connection, and the worker's."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._worker, self._engine = Link(ours), Link(theirs)
        self.used: list[str] = []
        self.inbox = Inbox(self._engine, lambda head: self.used.append(head["version"]))

    def ask(self, *names_of_requests: str) -> None:
        """``L...`` loads, ``s...`` are single chunks, others chunks of large jobs."""
        for name in names_of_requests:
            op, single = "load" if name[0] == "L" else "chunk", name[0] == "s"
            head = {"op": op, "name": name, "version": name, "single": single}
            send(self._worker, Frame(head, [b"x" * 10]))

    def turn(self, at_most: int = 100) -> list[str]:
        requests = (str(frame.head["name"]) for frame in self.inbox.turn())
        return list(islice(requests, at_most))

    def close(self) -> None:
        self._worker.close()
        self._engine.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.close()


def test_turns_alternate_between_small_jobs_and_large_ones(engine: Engine) -> None:
    engine.ask("a1", "a2", "s1", "a3", "s2")
    assert engine.turn(1) == ["s1"]
    assert engine.turn(1) == ["a1"]
    engine.ask("s3")
    assert engine.turn() == ["s2", "s3"]
    assert engine.turn(1) == ["a2"]
    assert engine.turn(1) == ["a3"]


def test_versions_are_used_in_the_order_in_which_the_worker_asked(engine: Engine) -> None:
    engine.ask("a1", "s1", "a2", "L1", "s2")
    assert engine.turn() == ["s1"]
    assert engine.used == ["a1", "s1", "a2"]


def test_a_load_comes_alone_after_all_before_it_and_before_all_after_it(engine: Engine) -> None:
    engine.ask("a1", "s1", "L1", "s2", "L2", "a2")
    assert [engine.turn() for _ in range(6)] == [["s1"], ["a1"], ["L1"], ["s2"], ["L2"], ["a2"]]


def test_a_worker_that_hung_up_ends_the_engine(engine: Engine) -> None:
    engine.ask("a1")
    assert engine.turn(1) == ["a1"]
    engine._worker.close()
    with pytest.raises(EOFError):
        engine.turn()


class StandInPredictor:
    """Reads nothing; at its first batch, a single chunk comes in."""

    manifest = pretrained.load().manifest
    version, precision = "a", "float32"

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.batches: list[int] = []
        self._meanwhile = meanwhile

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        if len(self.batches) == 1:
            self._meanwhile()
        return np.full((len(crops), len(self.manifest.classes)), 1 / 12, np.float32)


def ask_for(link: Link, request: int, count: int) -> None:
    """A chunk of so many digit images; single where it is one."""
    data = Chunk("j", 0, tuple(Item(n, f"{n}.png", data=INK) for n in range(count))).encode()
    head = {"op": "chunk", "request": request, "version": "a", "single": count == 1}
    rest: dict[str, Any] = {
        "form": "",
        "strips_version": "",
        "precision": "any",
        "blobs": [],
        "verdicts": {},
        "only": None,
    }
    send(link, Frame({**head, **rest}, [data]))


def test_a_small_job_is_read_in_the_middle_of_a_large_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = map(Link, socket.socketpair())

    def meanwhile() -> None:
        ask_for(ours, 2, 1)
        # Time enough has passed for others to have their turn, however quick this machine is.
        reader._next_break = 0.0

    predictor = StandInPredictor(meanwhile)
    settings = Settings()
    progress = SharedPosition()
    reader = engine_module.Engine(theirs, progress, engine_config(settings, 1))
    monkeypatch.setattr(reader._models, "get", lambda *_: predictor)
    ask_for(ours, 1, 1500)
    reader._read(reader._take(reader._inbox.turn()))
    answers = [receive(ours).head for _ in range(2)]
    assert [(each["request"], each["rows"]) for each in answers] == [(2, 1), (1, 1500)]
    assert predictor.batches == [1024, 1, 476]
    assert progress.read().request == EVERY_REQUEST
    progress.close()
    ours.close()
    theirs.close()
