"""What is deleted is gone, part by part or as a whole; who saw and changed what can be told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkmill import names
from inkmill.backends import event_log
from inkmill.cli.commands import purge as command
from inkmill.cli.main import run
from inkmill.desk.context import DeskContext
from inkmill.desk.review.cutting import pictures as cutting
from inkmill.desk.review.cutting.pictures import PAGE, Pictures, Wanted
from inkmill.desk.review.tasks import GROUP, KEY
from inkmill.desk.review.work import Holder, JobReview
from inkmill.errors import NotFinished, UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.invariants import judge
from inkmill.lifecycle.lookup import load_job
from inkmill.lifecycle.purge import KINDS
from inkmill.producer import delete, export, purge, results, status, submit
from inkmill.records.events import REVIEW, Event
from tests.fakes import FakeCluster, png
from tests.unit.desk_jobs import codes_job
from tests.unit.form_jobs import page_png

#: In the file's name, the job's name, a value that was read, one that was typed, a comment.
PERSON, LABEL, READ, TYPED, SAID = "Mustermann", "mustermann", "1237", "4711", "smudged"


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(cache_dir=tmp_path / "cache")


def worked_on(cluster: FakeCluster) -> str:
    """A job of a form on which people worked: reviewed, commented, exported, looked at."""
    job, _ = codes_job(cluster)
    record = load_job(cluster.store, job)
    reconcile.finish(cluster.store, cluster.queue, record)
    review, anna = JobReview(cluster.connection, job), Holder("anna", "tab")
    given = review.next(anna, (GROUP, KEY))
    assert given is not None
    review.comment(given.ref, anna, given.left[0].place, SAID)
    review.confirm(given.ref, anna, {each.place: TYPED for each in given.left})
    trail = DeskContext(cluster.connection).trail
    trail.viewed("anna", "page", job=job)
    trail.add("ben", "export", "csv", job=job)
    cluster.store.put(names.report(job), f"<td>{TYPED}</td>".encode())
    cluster.store.put(names.picture(job, 0), page_png(1))
    assert {f.value for row in results(job, connection=cluster.connection) for f in row.fields}
    return job


def in_redis(cluster: FakeCluster) -> Iterator[str]:
    """Everything that Redis holds, keys and contents."""
    client: Any = cluster.queue.client
    for key in client.scan_iter():
        kind = client.type(key).decode()
        whole = {
            "string": client.get,
            "hash": client.hgetall,
            "list": lambda k: client.lrange(k, 0, -1),
            "set": client.smembers,
            "zset": lambda k: client.zrange(k, 0, -1),
        }[kind](key)
        yield f"{key!r} {whole!r}"


def test_nothing_of_a_deleted_job_remains(
    cluster: FakeCluster,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / f"{PERSON}.png").write_bytes(png(1))
    (scans / "other.png").write_bytes(b"no image")
    submit(scans, name=LABEL, connection=cluster.connection)
    plain = cluster.id(LABEL)
    cluster.work()
    form = worked_on(cluster)
    pictures = Pictures(cluster.connection, tmp_path / "cache/desk-pictures")
    for job in (plain, form):
        row = next(iter(results(job, connection=cluster.connection)))
        record = load_job(cluster.store, job)
        pictures._keep(pictures._path(record, Wanted(row, PAGE)), b"picture of " + job.encode())
        export(job, tmp_path / f"{job}.csv", connection=cluster.connection)
    assert TYPED in (tmp_path / f"{form}.csv").read_text(), "the test would see what is searched"

    for job in (plain, form):
        delete(job, connection=cluster.connection)
    monkeypatch.setattr(cutting, "_FORGET_SECONDS", 0.0)
    pictures._forget()

    searched = (plain, LABEL, PERSON, READ, TYPED, SAID)
    for entry in cluster.store.list(""):
        held = entry.key.encode() + cluster.store.get(entry.key).data
        assert not [word for word in searched if word.encode() in held], entry.key
        assert not entry.key.startswith(names.job_root(form))
    assert [line for line in in_redis(cluster) for word in searched if word in line] == []
    cached = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path for path in cached if b"picture of" in path.read_bytes()] == []
    logged = [record.getMessage() for record in caplog.records]
    assert [line for line in logged if TYPED in line or READ in line or SAID in line] == []


def test_pictures_of_a_job_with_pages_stay(cluster: FakeCluster, tmp_path: Path) -> None:
    job, _ = codes_job(cluster)
    pictures = Pictures(cluster.connection, tmp_path / "pictures")
    row = next(iter(results(job, connection=cluster.connection)))
    path = pictures._path(load_job(cluster.store, job), Wanted(row, PAGE))
    pictures._keep(path, b"a picture")
    pictures._forget()
    assert path.read_bytes() == b"a picture"


#: Kind -> keys below the job's folder of which something is there before, and nothing after.
GONE = {
    "pages": ("chunks/",),
    "pictures": ("pictures/",),
    "values": ("results/", "events/", "review/", "report.html"),
    "reports": ("report.html",),
    "trail": ("trail/",),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_deleted_and_nothing_else(cluster: FakeCluster, kind: str) -> None:
    job = worked_on(cluster)
    root = names.job_root(job)

    def there() -> set[str]:
        return {entry.key.removeprefix(root) for entry in cluster.store.list(root)}

    before = there()
    assert all(any(key.startswith(gone) for key in before) for gone in GONE[kind])
    count = purge(job, [kind], connection=cluster.connection)
    after = there()
    assert count == len(before - after) > 0
    assert not [key for key in after if key.startswith(GONE[kind])]
    left = {key for key in before - after if not key.startswith(GONE[kind])}
    assert left <= {"settled.json"}, "nothing else"
    found = status(job, connection=cluster.connection)
    assert (found.state, found.rows) == ("finished", 6)
    if kind == "values":
        with pytest.raises(UsageError, match=r"of job tally were deleted on \d{4}-\d\d-\d\d"):
            results(job, connection=cluster.connection)
    else:
        assert len(list(results(job, connection=cluster.connection))) == 6
        assert judge(cluster.store, cluster.queue, job).problems == ()


def test_values_of_a_small_job_and_of_a_running_one(
    cluster: FakeCluster, scans: Callable[..., Path]
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    with pytest.raises(NotFinished, match="not finished: wait for it, cancel it"):
        purge(job, ["pages"], connection=cluster.connection)
    cluster.work()
    purge(job, ["values"], connection=cluster.connection)
    assert status(job, connection=cluster.connection).rows == 1
    with pytest.raises(UsageError, match="were deleted on"):
        results(job, connection=cluster.connection)
    with pytest.raises(UsageError, match="'scans' is not a kind: use one of pages, "):
        purge(job, ["scans"], connection=cluster.connection)


def test_the_trail_names_people_and_fields_but_no_values(
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = worked_on(cluster)
    list_entry = Event(5, "code_1", TYPED, READ, "cara", 4e9, REVIEW)
    event_log.add(cluster.store, job, [list_entry])
    DeskContext(cluster.connection).trail.add("ben", "signed_in")
    monkeypatch.setattr(command, "connection", lambda: cluster.connection)
    assert run(["trail", job]) == 0
    lines = [line.split("\t")[1:] for line in capsys.readouterr().out.splitlines()]
    assert ["ben", "export", "csv"] in lines
    assert ["anna", "entered", "code_0 of item 5"] in lines
    assert lines[-1] == ["cara", "entered", "code_1 of item 5"]
    assert not [line for line in lines if TYPED in " ".join(line)]
    day = next(cluster.store.folders(names.DESK + "trail/")).split("/")[2]
    assert run(["trail", "--day", day, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == "signed_in"
    assert run(["trail", "--day", "yesterday"]) == 2
    assert run(["trail"]) == 2
