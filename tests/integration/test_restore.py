"""The restore drill of docs/how-to/back-up.md: the bucket copied while jobs run, Redis empty."""

from __future__ import annotations

import re
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store, delete_prefix, open_store
from inkmill.errors import NotFound, StoreDenied
from inkmill.lifecycle.invariants import judge
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import connect, status, submit
from inkmill.settings import Settings
from tests.faults import checker
from tests.integration import images
from tests.integration.processes import command

PAGE = (Path(__file__).parents[2] / "docs/how-to/back-up.md").read_text(encoding="utf-8")


@pytest.fixture
def backup_file(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """The page's backup.toml, with a bucket of this test at the test's own server."""
    told = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert told
    bucket = f"backup-{secrets.token_hex(6)}"
    here = settings.environment()
    values = {
        name: here[f"INKMILL_{name.upper()}"]
        for name in ("s3_endpoint", "s3_access_key", "s3_secret_key")
    }
    values["s3_bucket"] = bucket
    text = re.sub(r'^(\w+) = ".*"', lambda m: f'{m[1]} = "{values.pop(m[1])}"', told[1], flags=re.M)
    assert not values, "the page names every setting of the other bucket"
    path = tmp_path / "backup.toml"
    path.write_text(text, encoding="utf-8")
    yield path
    store = open_store(settings.model_copy(update={"s3_bucket": bucket}))
    delete_prefix(store, "")
    store.client.delete_bucket(Bucket=bucket)


def start(settings: Settings, line: str, file: Path) -> subprocess.Popen[str]:
    """Start a command that the page gives."""
    assert f"$ {line}\n" in PAGE
    words = [str(file) if word == file.name else word for word in line.split()[1:]]
    return command(settings, *words)


def said_by(process: subprocess.Popen[str]) -> str:
    """What a command says until its end, which must be a good one."""
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def copied(settings: Settings, file: Path) -> bool:
    """Whether the backup has begun."""
    bucket = re.search(r'^s3_bucket = "(.*)"', file.read_text(encoding="utf-8"), re.MULTILINE)
    assert bucket
    try:
        return any(open_store(settings.model_copy(update={"s3_bucket": bucket[1]})).list(""))
    except (NotFound, StoreDenied):
        return False


def test_restore_drill(
    settings: Settings,
    store: S3Store,
    queue: Queue,
    backup_file: Path,
    tmp_path: Path,
    start_workers: Callable[..., Any],
) -> None:
    Registry(store, settings.model).publish(load())
    connection = connect(settings)
    folder = images.digits(tmp_path / "scans", 120)
    options: dict[str, Any] = {"chunk_size": 4, "connection": connection}
    jobs = [submit(folder, name=f"drill-{number}", **options) for number in range(2)]
    workers = start_workers(1)
    checker.until(lambda: status(jobs[0], connection=connection).rows > 8, 60, "rows are written")
    # The worker, which may be faster than a command starts, goes on when the copying has begun.
    for process in workers.processes:
        process.send_signal(signal.SIGSTOP)
    backup = start(settings, "inkmill backup backup.toml", backup_file)
    checker.until(lambda: copied(settings, backup_file), 60, "the copying has begun")
    for process in workers.processes:
        process.send_signal(signal.SIGCONT)
    assert "copied to" in said_by(backup)
    for process in workers.processes:
        process.kill()  # the data centre burns down
    delete_prefix(store, "")
    queue.client.flushall()

    said = said_by(start(settings, "inkmill restore backup.toml", backup_file))
    assert re.search(r"[12] jobs? not finished: workers go on with them", said), said
    start_workers(1)
    for job in jobs:
        checker.until(lambda: status(job, connection=connect(settings)).finished, 90, job)  # noqa: B023
        found = judge(store, queue, job)
        assert found.problems == ()
        assert len(found.rows) == found.items == 120
        assert {row.digit for row in found.rows.values()} == set("0123456789")
