"""Real servers for the integration tests: one redis-server and one SeaweedFS for all of them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store, delete_prefix, open_store
from inkmill.errors import InkmillError
from inkmill.local.servers import Stack
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.settings import Settings
from tests.faults.calm import calm_run
from tests.faults.checker import Calm
from tests.faults.cluster import Cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running local stack; without servers CI fails and a laptop skips."""
    try:
        running = Stack(tmp_path_factory.mktemp("stack"))
        running.__enter__()
    except InkmillError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no servers: {error}")
    yield running
    # Nobody reads what it holds: a SeaweedFS that leaves in peace takes seconds.
    running.kill("s3")
    running.stop()


@contextmanager
def empty_servers(stack: Stack, cache_folder: Path) -> Iterator[Settings]:
    """Settings with a new bucket and an empty Redis."""
    made = stack.settings.model_copy(
        update={
            "s3_bucket": f"test-{secrets.token_hex(6)}",
            "cache_dir": cache_folder,
            "reconcile_interval": 2.0,
            "model_poll_interval": 1.0,
        }
    )
    store = open_store(made)
    store.create_bucket()
    Queue(made).client.flushall()
    yield made
    # Each bucket takes volumes of its own, and a disk has room for some dozens.
    delete_prefix(store, "")
    store.client.delete_bucket(Bucket=store.bucket)


@pytest.fixture
def settings(stack: Stack, cache_folder: Path) -> Iterator[Settings]:
    """Settings with a bucket and an empty Redis for this test alone."""
    with empty_servers(stack, cache_folder) as made:
        yield made


@pytest.fixture(scope="module")
def running(
    stack: Stack, cache_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Servers with the shipped model and one worker of two engines, for a whole module.

    Its tests may use neither ``settings``, which empties Redis, nor workers of their own.
    """
    from inkmill.local.workers import LocalWorkers

    with empty_servers(stack, cache_folder) as made:
        Registry(open_store(made), made.model).publish(load())
        chosen = made.model_copy(update={"engines": 2})
        with LocalWorkers(chosen, 1, tmp_path_factory.mktemp("running") / "worker.log") as workers:
            workers.wait_ready()
            yield made


@pytest.fixture
def store(settings: Settings) -> S3Store:
    return open_store(settings)


@pytest.fixture
def queue(settings: Settings) -> Queue:
    return Queue(settings)


@pytest.fixture
def start_workers(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., object]]:
    """Starts workers for the test and stops them after it."""
    from inkmill.local.workers import LocalWorkers

    started: list[LocalWorkers] = []

    def start(count: int = 1, **changes: object) -> LocalWorkers:
        chosen = settings.model_copy(update={"engines": 1, **changes})
        workers = LocalWorkers(chosen, count, tmp_path / "worker.log")
        workers.__enter__()
        started.append(workers)
        workers.wait_ready()
        return workers

    yield start
    for workers in started:
        workers.stop()


@pytest.fixture(scope="session")
def calm(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """Rows of a run that nothing disturbed, by digit: what every other run is compared with."""
    return calm_run(stack, tmp_path_factory.mktemp("calm"))


@pytest.fixture
def cluster(stack: Stack, settings: Settings, tmp_path: Path, calm: Calm) -> Iterator[Cluster]:
    """Servers with a model, and workers as the test wants them."""
    Registry(open_store(settings), settings.model).publish(load())
    made = Cluster(stack, settings, tmp_path, calm)
    yield made
    made.close()
