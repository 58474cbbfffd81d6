"""A watch for tests, and what it made."""

from __future__ import annotations

from pathlib import Path

from inkmill.names import JOBS
from inkmill.producer.watch import Watch
from tests.fakes import FakeMill


def watcher(mill: FakeMill, folder: Path) -> Watch:
    return Watch(mill.connection, str(folder), "in", settle=0, chunk_size=2)


def jobs(mill: FakeMill) -> list[str]:
    return sorted(folder.split("/")[1] for folder in mill.store.folders(JOBS))
