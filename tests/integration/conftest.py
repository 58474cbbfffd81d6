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
from inkmill.settings import Settings


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


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, so that only the first engine measures in which precision it is fastest."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return tmp_path_factory.mktemp("cache")
    # The folder of the whole run, above those of its processes.
    shared = tmp_path_factory.getbasetemp().parent / "cache"
    shared.mkdir(exist_ok=True)
    return shared


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
