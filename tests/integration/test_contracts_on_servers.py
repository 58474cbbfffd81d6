"""Real S3 and real Redis keep the contracts that the fakes keep."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest
from pydantic import SecretStr

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store, delete_prefix, open_store
from inkmill.errors import Corrupt, StoreDenied, Unreachable
from inkmill.local.servers import Stack
from inkmill.settings import Settings
from tests.contracts import QueueContract, StoreContract
from tests.integration.conftest import empty_servers


@pytest.fixture(scope="module")
def bucket(stack: Stack, cache_folder: Path) -> Iterator[Settings]:
    """One bucket for all: to make and remove one takes longer than most of these tests."""
    with empty_servers(stack, cache_folder) as made:
        yield made


@pytest.fixture(scope="module")
def opened(bucket: Settings) -> S3Store:
    return open_store(bucket)


@pytest.fixture
def settings(bucket: Settings, opened: S3Store) -> Iterator[Settings]:
    Queue(bucket).client.flushall()
    yield bucket
    delete_prefix(opened, "")


@pytest.fixture
def store(settings: Settings, opened: S3Store) -> S3Store:
    """Empty again for each test, by ``settings``."""
    return opened


class TestS3(StoreContract):
    pass


class TestRedis(QueueContract):
    @pytest.fixture
    def queue(self, settings: Settings) -> Queue:
        return Queue(settings.model_copy(update={"window": 3}))


def test_a_damaged_object_is_named(store: S3Store) -> None:
    store.client.put_object(Bucket=store.bucket, Key="a", Body=b"1", Metadata={"sha256": "0" * 64})
    with pytest.raises(Corrupt, match="object a: 1 bytes"):
        store.get("a")


@pytest.mark.parametrize("conditional", [True, False])
def test_a_put_that_dies_before_its_body_leaves_what_was_there(
    store: S3Store, conditional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a program is killed between the two writes of a request's head and body: first
    without boto3's client, then with it."""
    if not conditional:
        store.put("a", b"before")

    def die_after_the_head(request: AWSPreparedRequest, **_: object) -> None:
        url = urlsplit(request.url)
        lines = [f"PUT {url.path} HTTP/1.1", f"Host: {url.netloc}"]
        headers: Any = request.headers  # some values are bytes, whatever the stubs say
        for name, value in headers.items():
            lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
        with socket.create_connection((url.hostname or "", url.port or 80)) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            connection.shutdown(socket.SHUT_WR)
            # The server's verdict, or the end of the connection.
            assert not connection.recv(4096).startswith(b"HTTP/1.1 200")
        raise ConnectionError("killed")

    assert store._direct is not None
    monkeypatch.setattr(store._direct._session, "send", die_after_the_head)
    store.client.meta.events.register("before-send.s3.PutObject", die_after_the_head)
    try:
        with pytest.raises(Unreachable):
            store.put("a", b"after" * 1000, if_none_match=conditional)
    finally:
        store.client.meta.events.unregister("before-send.s3.PutObject", die_after_the_head)
    monkeypatch.undo()
    if conditional:
        assert store.head("a") is None
    else:
        assert store.get("a").data == b"before"


def test_wrong_credentials_are_refused_with_words(settings: Settings) -> None:
    other = open_store(settings.model_copy(update={"s3_secret_key": SecretStr("wrong")}))
    with pytest.raises(StoreDenied, match="check the bucket's name, the credentials"):
        other.put("a", b"1")


def test_a_store_that_is_away_is_unreachable(settings: Settings) -> None:
    away = settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:1", "s3_timeout": 1.0})
    with pytest.raises(Unreachable, match="does not answer"):
        open_store(away).get("a")


def test_the_end_wakes_all_who_wait(queue: Queue) -> None:
    with ThreadPoolExecutor(3) as waiters:
        waits = [waiters.submit(queue.wait_end, "a", 10.0) for _ in range(3)]
        time.sleep(0.2)
        began = time.monotonic()
        queue.end("a")
        assert [each.result() for each in waits] == [True] * 3
    assert time.monotonic() - began < 5.0


def test_a_sent_chunk_lies_in_its_priority_queue(queue: Queue) -> None:
    queue.send("a", 3, "high")
    assert queue.lengths() == {"high": 1, "normal": 0, "low": 0}
    assert queue.present() == {names.task_id("a", 3)}
