"""A watch for tests, and what it made."""

from __future__ import annotations

from pathlib import Path

from inkmill import producer
from inkmill.producer.watch import Watch
from tests.fakes import FakeCluster


def watcher(cluster: FakeCluster, folder: Path) -> Watch:
    return Watch(cluster.connection, str(folder), name="in", settle=0, chunk_size=2)


def jobs(cluster: FakeCluster) -> list[str]:
    """The labels of all jobs."""
    return sorted(each.job for each in producer.jobs(connection=cluster.connection))
