"""Reads without boto3's client: plain successes alone, everything else is left to boto3."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from botocore.credentials import Credentials

from inkmill.backends.store.direct import DirectReads, Read, direct_reads
from inkmill.errors import NotFound
from inkmill.settings import Settings

_MOST = 1000


class Service(BaseHTTPRequestHandler):
    """Answers by the last part of the key; keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, str]]] = []
    signed: ClassVar[list[str]] = []

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

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at what was asked."""


@pytest.fixture
def reads() -> Iterator[DirectReads]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Service.asked, Service.signed = [], []
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    settings = Settings(s3_endpoint=f"http://127.0.0.1:{server.server_port}/", s3_timeout=5)
    made = direct_reads(settings, Credentials("key", "secret"))
    assert made is not None
    yield made
    server.shutdown()
    server.server_close()


def test_an_object_comes_with_its_metadata(reads: DirectReads) -> None:
    assert reads.get("bucket", "jobs/ä b/whole", _MOST) == Read(b"data", '"e"', {"sha256": "ab"})
    assert reads.head("bucket", "jobs/whole") == Read(b"", '"e"', {"sha256": "ab"})
    assert Service.asked[0] == ("GET", "/bucket/jobs/%C3%A4%20b/whole")
    assert all(each.startswith("AWS4-HMAC-SHA256 Credential=key/") for each in Service.signed)


@pytest.mark.parametrize("key", ["large", "short", "gone", "busy", "refused"])
def test_anything_else_is_left_to_boto3(reads: DirectReads, key: str) -> None:
    assert reads.get("bucket", key, _MOST) is None
    # One that refuses or breaks off is left alone for a while; others are asked the next time.
    assert (reads.get("bucket", "whole", _MOST) is None) == (key in ("refused", "short"))


def test_a_head_knows_that_there_is_nothing(reads: DirectReads) -> None:
    with pytest.raises(NotFound):
        reads.head("bucket", "gone")
    assert reads.head("bucket", "busy") is None


def test_a_server_that_is_away_is_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(s3_endpoint="http://127.0.0.1:1", s3_timeout=1)
    reads = direct_reads(settings, Credentials("key", "secret"))
    assert reads is not None
    assert reads.get("bucket", "whole", _MOST) is None
    monkeypatch.setattr(reads._session, "send", lambda _: pytest.fail("it was asked again"))
    assert reads.get("bucket", "whole", _MOST) is None
    monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    with pytest.raises(pytest.fail.Exception):
        reads.get("bucket", "whole", _MOST)


def test_aws_and_a_host_without_credentials_use_boto3() -> None:
    assert direct_reads(Settings(), Credentials("key", "secret")) is None
    assert direct_reads(Settings(s3_endpoint="http://127.0.0.1:1"), None) is None
