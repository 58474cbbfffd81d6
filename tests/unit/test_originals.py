"""What is shown of pages: the user's own objects, and what was given up."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from click.testing import CliRunner

from inkmill import names
from inkmill.backends import event_log
from inkmill.backends.store import S3Store
from inkmill.cli.commands.quarantine import quarantine
from inkmill.codes import Code, Status
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.producer import results, status, wait
from inkmill.producer.quarantine import retry
from inkmill.producer.tables.originals import originals
from inkmill.records import events, rows
from inkmill.records.chunks import DIGEST, FIRST, ITEMS, Chunk, Item
from inkmill.records.evidence import Evidence
from inkmill.records.image_ref import UserObject
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from tests.fakes import FakeCluster, png
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form
from tests.unit.form_pages import row as row_of

THEIRS = UserObject("scans", "a.png")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a bucket of the user's answers."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        endpoint_url="http://127.0.0.1:9",
    )
    monkeypatch.setattr(
        "inkmill.producer.Connection.bucket", lambda self, name: S3Store(client, name)
    )
    with Stubber(client) as stubber:
        yield stubber


def answer(bucket: Any, data: bytes, **metadata: str) -> None:
    body = StreamingBody(io.BytesIO(data), len(data))
    described = {"Body": body, "ContentLength": len(data), "ETag": '"e"', "Metadata": metadata}
    bucket.add_response("get_object", described)


def job_of(cluster: FakeCluster, *items: Item) -> Job:
    """A job of one chunk that was given up as a whole."""
    chunk = Chunk("j", 0, items)
    about = {DIGEST: chunk.digest, FIRST: "0", ITEMS: str(len(items))}
    cluster.store.put(names.chunk("j", 0), chunk.encode(), metadata=about)
    record = Job("j", 1.0).seal([len(items)], "")
    cluster.keep(record)
    give_up(cluster, "j", [Row(item.item, item.source, code=Code.CRASHED) for item in items])
    return record


def give_up(cluster: FakeCluster, job: str, made: list[Row]) -> None:
    cluster.store.put(names.result(job, 0), rows.encode(made))
    given_up = {each.item: (str(each.code), "") for each in made if each.code}
    evidence = Evidence.of(job, 0, 1.0, given_up)
    cluster.store.put(names.quarantined(job, 0), evidence.encode())


def test_a_users_own_sha256_is_none_of_ours(cluster: FakeCluster, bucket: Any) -> None:
    record = job_of(cluster, Item(0, "a.png", ref=THEIRS))
    answer(bucket, png(1), sha256="LS0t")
    assert [data for _, data in originals(cluster.connection, record, [0])] == [png(1)]


def test_an_object_that_became_too_large_is_not_shown(bucket: Any) -> None:
    cluster = FakeCluster(max_file_bytes=100)
    record = job_of(cluster, Item(0, "a.png", ref=THEIRS))
    answer(bucket, b"x" * 101)
    assert [data for _, data in originals(cluster.connection, record, [0])] == [b""]


@pytest.fixture
def show(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    monkeypatch.setattr("inkmill.producer.connect", lambda: cluster.connection)

    def run() -> Any:
        return CliRunner().invoke(quarantine, ["show", "j", "0", "--save", str(tmp_path / "a.png")])

    return run


def test_what_was_given_up_is_saved_from_the_users_bucket(
    cluster: FakeCluster, bucket: Any, show: Callable[[], Any], tmp_path: Path
) -> None:
    job_of(cluster, Item(0, "a.png", ref=THEIRS))
    answer(bucket, png(1), sha256="LS0t")
    assert show().exit_code == 0
    assert (tmp_path / "a.png").read_bytes() == png(1)


def test_what_is_gone_from_the_users_bucket_is_not_saved(
    cluster: FakeCluster, bucket: Any, show: Callable[[], Any], tmp_path: Path
) -> None:
    job_of(cluster, Item(0, "a.png", ref=THEIRS))
    bucket.add_client_error("get_object", "NoSuchKey", "", 404)
    shown = show()
    assert "no longer stored" in str(shown.exception)
    assert not (tmp_path / "a.png").exists()


def test_counts_are_those_of_the_rows_that_were_read_again(cluster: FakeCluster) -> None:
    template = form({"a": "1|type: digits"})
    good = [row_of(template, each, {"a": "1"}) for each in range(2)]
    job = finished_job(cluster, template, good)
    bad = Row(1, "1.png", 1, Status.ERROR, Code.CRASHED, "died", form=template.name)
    give_up(cluster, job, [good[0], bad])
    record = load_job(cluster.store, job)
    reconcile.finish(cluster.store, cluster.queue, record)
    event_log.add(cluster.store, job, [events.Event(0, "a", "7", "1", "ann", 1.0)])
    assert wait(job, connection=cluster.connection).errors == 1

    assert retry(job, connection=cluster.connection) == [0]
    cluster.store.put(names.result(job, 0), rows.encode(good))
    reconcile.finish(cluster.store, cluster.queue, record)
    assert status(job, connection=cluster.connection).errors == 0
    assert [row.status for row in results(job, connection=cluster.connection)] == ["ok", "ok"]
