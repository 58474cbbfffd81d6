"""Requests without boto3's client: plain successes alone, everything else is left to boto3."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from botocore.credentials import Credentials
from botocore.stub import Stubber
from pydantic import SecretStr

from inkmill.backends.store import S3Store, s3_client
from inkmill.backends.store.direct import DirectRequests, Read, Written, direct_requests
from inkmill.errors import NotFound, PreconditionFailed
from inkmill.settings import Settings

_MOST = 1000


class Service(BaseHTTPRequestHandler):
    """Answers by the last part of the key; keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str]]] = []
    signed: ClassVar[list[str]] = []
    written: ClassVar[list[tuple[bytes, dict[str, str]]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path))
        self.signed.append(self.headers.get("Authorization", ""))
        status, body, length = {
            "whole": (200, b"data", 4),
            "large": (200, b"", _MOST + 1),
            "short": (200, b"da", 4),
            "gone": (404, b"<Error/>", 8),
            "busy": (503, b"<Error/>", 8),
            "refused": (403, b"<Error/>", 8),
        }[self.path.rpartition("/")[2]]
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"e"')
        self.send_header("X-Amz-Meta-SHA256", "ab")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection = len(body) < length

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.asked.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.written.append((body, {name.lower(): value for name, value in self.headers.items()}))
        status = {
            "whole": 204 if self.command == "DELETE" else 200,
            "changed": 412,
            "busy": 503,
            "refused": 403,
            "cut": 0,
        }[self.path.rpartition("/")[2]]
        if not status:  # written, but no answer comes
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"e"')
        self.end_headers()

    do_DELETE = do_PUT

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at what was asked."""


@pytest.fixture
def reads() -> Iterator[DirectRequests]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Service.asked, Service.signed, Service.written = [], [], []
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    settings = Settings(s3_endpoint=f"http://127.0.0.1:{server.server_port}/", s3_timeout=5)
    made = direct_requests(settings, Credentials("key", "secret"))
    assert made is not None
    yield made
    server.shutdown()
    server.server_close()


def test_an_object_comes_with_its_metadata(reads: DirectRequests) -> None:
    assert reads.get("bucket", "jobs/ä b/whole", _MOST) == Read(b"data", '"e"', {"sha256": "ab"})
    assert reads.head("bucket", "jobs/whole") == Read(b"", '"e"', {"sha256": "ab"})
    assert Service.asked[0] == ("GET", "/bucket/jobs/%C3%A4%20b/whole")
    assert all(each.startswith("AWS4-HMAC-SHA256 Credential=key/") for each in Service.signed)


@pytest.mark.parametrize("key", ["large", "short", "gone", "busy", "refused"])
def test_anything_else_is_left_to_boto3(reads: DirectRequests, key: str) -> None:
    assert reads.get("bucket", key, _MOST) is None
    # One that refuses or breaks off is left alone for a while; others are asked the next time.
    assert (reads.get("bucket", "whole", _MOST) is None) == (key in ("refused", "short"))


def test_a_head_knows_that_there_is_nothing(reads: DirectRequests) -> None:
    with pytest.raises(NotFound):
        reads.head("bucket", "gone")
    assert reads.head("bucket", "busy") is None


def test_a_server_that_is_away_is_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(s3_endpoint="http://127.0.0.1:1", s3_timeout=1)
    reads = direct_requests(settings, Credentials("key", "secret"))
    assert reads is not None
    assert reads.get("bucket", "whole", _MOST) is None
    monkeypatch.setattr(reads._session, "send", lambda _: pytest.fail("it was asked again"))
    assert reads.get("bucket", "whole", _MOST) is None
    monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    with pytest.raises(pytest.fail.Exception):
        reads.get("bucket", "whole", _MOST)


def test_aws_and_a_host_without_credentials_use_boto3() -> None:
    assert direct_requests(Settings(), Credentials("key", "secret")) is None
    assert direct_requests(Settings(s3_endpoint="http://127.0.0.1:1"), None) is None


def put(requests: DirectRequests, key: str, data: bytes = b"data", **headers: str) -> Written:
    return requests.put("bucket", key, data, hashlib.sha256(data).hexdigest(), headers)


@pytest.mark.parametrize("data", [b"data", b""])
def test_an_object_is_written_with_its_headers(reads: DirectRequests, data: bytes) -> None:
    headers = {"If-None-Match": "*", "x-amz-meta-sha256": "ab"}
    assert put(reads, "jobs/ä/whole", data, **headers) == Written('"e"', sent=True)
    ((body, received),) = Service.written
    assert body == data
    assert received["if-none-match"] == "*"
    assert received["x-amz-content-sha256"] == hashlib.sha256(data).hexdigest()
    signed = received["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"if-none-match", "x-amz-content-sha256", "x-amz-meta-sha256"} <= set(signed)


@pytest.mark.parametrize(("key", "sent"), [("busy", True), ("cut", True), ("refused", False)])
def test_a_write_tells_whether_the_object_may_be_there(
    reads: DirectRequests, key: str, sent: bool
) -> None:
    assert put(reads, key) == Written("", sent)


def test_a_condition_that_fails_is_told_and_a_pause_writes_nothing(reads: DirectRequests) -> None:
    with pytest.raises(PreconditionFailed):
        put(reads, "changed")
    assert put(reads, "whole").etag
    put(reads, "refused")
    assert put(reads, "whole") == Written("", sent=False)
    assert len(Service.written) == 3


def test_one_object_is_deleted_and_what_fails_is_left_to_boto3(reads: DirectRequests) -> None:
    assert reads.delete("bucket", "whole")
    assert not reads.delete("bucket", "busy")
    assert [method for method, _ in Service.asked] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("others", [False, True])
def test_boto3_writes_again_and_knows_its_own_object(
    reads: DirectRequests, monkeypatch: pytest.MonkeyPatch, others: bool
) -> None:
    """The first answer got lost; the repetition is refused, since the object is there."""
    settings = Settings(s3_access_key="access", s3_secret_key=SecretStr("secret"))
    store = S3Store(s3_client(settings), "cut", reads)
    monkeypatch.setattr(reads, "put", lambda *_: Written("", sent=True))
    there = hashlib.sha256(b"other" if others else b"data").hexdigest()
    with Stubber(store.client) as answers:
        answers.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
        answers.add_response("head_object", {"ETag": "mine", "Metadata": {"sha256": there}})
        if others:
            with pytest.raises(PreconditionFailed):
                store.put("a", b"data", if_none_match=True)
        else:
            assert store.put("a", b"data", if_none_match=True) == "mine"
        answers.assert_no_pending_responses()


def test_what_was_not_sent_is_nobodys_own(
    reads: DirectRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(s3_access_key="access", s3_secret_key=SecretStr("secret"))
    store = S3Store(s3_client(settings), "cut", reads)
    monkeypatch.setattr(reads, "put", lambda *_: Written("", sent=False))
    with Stubber(store.client) as answers:
        answers.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
        with pytest.raises(PreconditionFailed):
            store.put("a", b"data", if_none_match=True)


def test_a_small_object_does_not_wait_for_its_head_to_be_acknowledged(
    reads: DirectRequests,
) -> None:
    """A body that is held back until then costs 40 ms, which no other test would notice."""
    assert put(reads, "whole").etag
    session: Any = reads._session
    connection = session._manager.connection_from_url(reads._endpoint).pool.get()
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()
