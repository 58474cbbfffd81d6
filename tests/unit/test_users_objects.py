"""Objects of the user's own that a worker fetches: refused for good, busy, or replaced."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from inkmill.backends.store import MemoryStore, S3Store
from inkmill.codes import Code
from inkmill.errors import InkmillError, ItemError, StoreDenied, Unreachable
from inkmill.records.chunks import Item
from inkmill.records.image_ref import UserObject
from inkmill.settings import Settings
from inkmill.worker import patience
from inkmill.worker.chunk.images import Images
from tests.fakes import patient

SCAN = Item(0, "a.png", ref=UserObject("scans", "a.png"))


@pytest.fixture
def client() -> Any:
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        endpoint_url="http://127.0.0.1:9",
    )


@pytest.fixture
def s3(client: Any) -> Any:
    with Stubber(client) as stubber:
        yield stubber


@pytest.fixture
def images(client: Any, monkeypatch: pytest.MonkeyPatch) -> Images:
    monkeypatch.setattr(patience, "_PAUSE", 0.001)
    return Images(Settings(input_buckets=("scans",)), patient(MemoryStore()), client)


@pytest.mark.parametrize(
    ("code", "http", "words"),
    [
        ("InvalidRequest", 400, "SSE-C"),
        ("InvalidArgument", 400, "retrying will not help"),
        ("PermanentRedirect", 301, "another region"),
        ("MethodNotAllowed", 405, "retrying will not help"),
        ("NotImplemented", 501, "retrying will not help"),
        ("InvalidObjectState", 403, "archived"),
        ("AccessDenied", 403, "rights"),
    ],
)
def test_an_object_that_is_refused_for_good_has_a_row(
    s3: Any, images: Images, code: str, http: int, words: str
) -> None:
    s3.add_client_error("get_object", code, "no", http)
    with pytest.raises(ItemError, match=words) as refused:
        images.load("job", SCAN)
    assert refused.value.code is Code.MISSING
    assert "s3://scans/a.png" in refused.value.message


@pytest.mark.parametrize(
    ("code", "http"),
    [
        ("InternalError", 500),
        ("ServiceUnavailable", 503),
        ("SlowDown", 503),
        ("RequestTimeout", 400),
        ("OperationAborted", 409),
        ("TooManyRequests", 429),
    ],
)
def test_a_store_that_is_busy_is_asked_again(s3: Any, images: Images, code: str, http: int) -> None:
    for _ in range(3):
        s3.add_client_error("get_object", code, "not now", http)
    answer(s3, b"SCAN")
    assert images.load("job", SCAN) == b"SCAN"


def test_a_clock_that_is_wrong_costs_no_row_and_is_named(
    s3: Any, images: Images, caplog: pytest.LogCaptureFixture
) -> None:
    s3.add_client_error("get_object", "RequestTimeTooSkewed", "too late", 403)
    answer(s3, b"SCAN")
    assert images.load("job", SCAN) == b"SCAN"
    assert "synchronise this host's clock" in caplog.text


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("BadDigest", Unreachable),
        ("IncompleteBody", Unreachable),
        ("XAmzContentSHA256Mismatch", Unreachable),
        ("EntityTooLarge", StoreDenied),
    ],
)
def test_a_body_damaged_on_its_way_is_sent_again(
    s3: Any, client: Any, code: str, error: type[InkmillError]
) -> None:
    s3.add_client_error("put_object", code, "no", 400)
    with pytest.raises(error):
        S3Store(client, "inkmill").put("key", b"data")


def answer(s3: Any, *contents: bytes) -> None:
    for data in contents:
        body = StreamingBody(io.BytesIO(data), len(data))
        described = {"Body": body, "ContentLength": len(data), "Metadata": {}}
        s3.add_response("get_object", described)


def test_an_object_that_was_replaced_is_read_anew_by_the_next_job(s3: Any, images: Images) -> None:
    answer(s3, b"OLD", b"NEW")
    assert images.load("one", SCAN) == b"OLD"
    assert images.load("two", SCAN) == b"NEW"


def pages_of(data: bytes) -> Item:
    return Item(
        0, "a.pdf", ref=UserObject("scans", "a.pdf"), sha256=hashlib.sha256(data).hexdigest()
    )


def test_a_file_of_many_pages_is_read_once_and_anew_when_it_was_replaced(
    s3: Any, images: Images
) -> None:
    answer(s3, b"%PDF old", b"%PDF new")
    for _ in range(3):
        assert images.load("job", pages_of(b"%PDF old")) == b"%PDF old"
    # Under the same name even, after a delete.
    assert images.load("job", pages_of(b"%PDF new")) == b"%PDF new"


def test_what_was_replaced_after_its_submit_is_not_kept_for_what_it_was(
    s3: Any, images: Images
) -> None:
    answer(s3, b"%PDF new", b"%PDF old")
    assert images.load("one", pages_of(b"%PDF old")) == b"%PDF new"
    assert images.load("two", pages_of(b"%PDF old")) == b"%PDF old"  # it was put back
