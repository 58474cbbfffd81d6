"""A watch for tests, and what it made."""

from __future__ import annotations

from pathlib import Path

from inkmill.names import JOBS
from inkmill.producer.watch import Watch
from tests.fakes import FakeCluster


def watcher(cluster: FakeCluster, folder: Path) -> Watch:
    return Watch(cluster.connection, str(folder), "in", settle=0, chunk_size=2)


def jobs(cluster: FakeCluster) -> list[str]:
    return sorted(folder.split("/")[1] for folder in cluster.store.folders(JOBS))
