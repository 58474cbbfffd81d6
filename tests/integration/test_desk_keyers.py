"""Many keyers at once, on real servers: each field is settled once, whatever is killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from inkmill.backends import event_log
from inkmill.backends.store import Store, open_store
from inkmill.desk.people.roles import Role
from inkmill.desk.people.users import People
from inkmill.local.servers import Stack
from inkmill.producer import connect, results
from inkmill.records.events import PAGE, Place
from inkmill.records.rows import FieldResult
from inkmill.settings import Settings
from tests.fakes import FakeCluster
from tests.keyers import Keyer, Server, work_together
from tests.unit.desk_jobs import mixed_job, truth_of_mixed
from tests.unit.desk_visits import PASSWORD


@pytest.fixture
def own_stack(tmp_path: Path, stack: Stack) -> Iterator[Stack]:
    """Servers that a test may kill; without any, ``stack`` has skipped."""
    with Stack(tmp_path / "own") as running:
        yield running


@pytest.fixture
def desks(own_stack: Stack, tmp_path: Path) -> Iterator[list[Server]]:
    """Two desk servers side by side."""
    settings = own_stack.settings.model_copy(update={"cache_dir": tmp_path / "cache"})
    running = [Server(settings, tmp_path / f"desk-{number}.log") for number in range(2)]
    yield running
    for each in running:
        each.stop()


def add_people(store: Store, names: list[str]) -> None:
    people = People(store)
    for name in names:
        people.add(name, Role.KEYER, PASSWORD)


def fields_of(settings: Settings, job: str) -> dict[Place, FieldResult]:
    """All fields as they hold."""
    return {
        (row.item, each.name): each
        for row in results(job, connection=connect(settings))
        for each in row.fields
    }


def settled_once(
    settings: Settings, job: str, doubtful: int, fields: Mapping[Place, FieldResult]
) -> None:
    """Every field holds what is written, and has exactly one entry that counts."""
    connection = connect(settings)
    wrong = [
        (place, each.value)
        for place, each in fields.items()
        if each.status != "ok" or each.value != truth_of_mixed(*place)
    ]
    assert wrong == []
    entries = Counter(
        event.place for event in event_log.load(connection.store, job) if event.source == PAGE
    )
    assert set(entries.values()) == {1}
    assert len(entries) == doubtful


def test_keyers_at_two_servers_type_nothing_twice_and_lose_nothing_to_kills(
    own_stack: Stack, desks: list[Server]
) -> None:
    settings, store = own_stack.settings, open_store(own_stack.settings)
    cluster = FakeCluster(store)
    job, doubtful = mixed_job(cluster, pages=30)
    names = [f"keyer{number}" for number in range(4)]
    add_people(store, names)
    addresses = [each.address for each in desks]

    def keyers() -> list[Keyer]:
        return [
            Keyer(
                name,
                addresses[number % 2 :] + addresses[: number % 2],
                job,
                truth_of_mixed,
                pause=lambda: time.sleep(0.05),
            )
            for number, name in enumerate(names)
        ]

    def kill() -> None:
        time.sleep(0.5)
        desks[0].kill()
        time.sleep(0.3)
        own_stack.kill("redis")
        own_stack.forget_redis()
        time.sleep(0.3)
        own_stack.start_redis()
        desks[0].start()

    working = keyers()
    work_together(working, meanwhile=kill)
    settled_once(settings, job, doubtful, fields_of(settings, job))
    typed = sum((each.typed for each in working), Counter[tuple[int, str]]())
    # Who lost a lease with Redis typed at most one field, or looked at one screen, in vain.
    assert len([place for place, count in typed.items() if count > 1]) <= sum(
        len(each.late) for each in working
    )
