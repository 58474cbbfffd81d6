"""`inkmill doctor --deep` on real servers, and on services that do less than they should."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from click.testing import CliRunner

from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store
from inkmill.cli.checks import CheckResult
from inkmill.cli.checks.redis import check_redis
from inkmill.cli.checks.store import check_store
from inkmill.cli.main import inkmill
from inkmill.errors import StoreDenied
from inkmill.settings import Settings


def bad(found: list[CheckResult]) -> list[str]:
    return [each.seen for each in found if not each.fine]


def strip(store: S3Store, operation: str, *headers: str) -> None:
    """A service that passes over these headers without a word."""

    def forget(request: Any, **_: object) -> None:
        for header in headers:
            del request.headers[header]

    _through_boto3(store).client.meta.events.register(f"before-sign.s3.{operation}", forget)


def refuse(store: S3Store, operation: str, code: str, status: int = 400) -> list[str]:
    """A service that answers an operation with an error; returns the requests that it refused."""
    refused: list[str] = []

    class Answer(AWSResponse):
        @property
        def content(self) -> bytes:
            return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        refused.append(request.url)
        headers: Any = {}
        return Answer(request.url, status, headers, None)

    events: Any = _through_boto3(store).client.meta.events
    events.register(f"before-send.s3.{operation}", answer)
    return refused


def _through_boto3(store: S3Store) -> S3Store:
    """The store, all of whose requests go where these tests change them."""
    store._direct = None
    return store


def test_the_servers_of_the_tests_are_safe_and_nothing_is_left(
    settings: Settings, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(inkmill, ["doctor", "--deep"])
    for line in (
        "a second write with If-None-Match: * is refused",
        "a write with If-Match where there is nothing is refused",
        "8 writers at once, 1 of them the first",
        "listings are complete, in order, and up to date",
        "many objects are deleted at once",
        "uploads in parts work",
        "persistence: append-only file",
        "this user has the rights needed",
        "this user reaches all keys",
    ):
        assert f"{line}\n" in done.output, line
    # There are neither a model nor workers here.
    marked = [line.split()[1] for line in done.output.splitlines() if line.startswith("BAD")]
    assert marked == ["model", "workers"]
    assert [entry.key for entry in store.list("")] == []
    assert Queue(settings).client.keys("inkmill:job:*") == []


@pytest.mark.parametrize(
    ("operation", "headers", "words"),
    [
        ("PutObject", ["If-None-Match"], "a second write with If-None-Match: * is DONE"),
        ("PutObject", ["If-Match"], "a write with If-Match where there is nothing is DONE"),
        ("PutObject", ["If-None-Match"], "8 writers at once, 8 of them the first"),
    ],
)
def test_a_service_that_ignores_conditions_is_unsafe(
    store: S3Store, operation: str, headers: list[str], words: str
) -> None:
    strip(store, operation, *headers)
    found = list(check_store(store, None))
    assert words in bad(found)
    assert all("use a service that does it" in each.remedy for each in found if not each.fine)
    assert list(store.list("")) == []


def test_a_service_without_delete_objects_gets_single_deletions(store: S3Store) -> None:
    for code in ("MissingContentMD5", "NotImplemented"):
        opened = S3Store(store.client, store.bucket)
        refused = refuse(opened, "DeleteObjects", code, 501 if code == "NotImplemented" else 400)
        found = list(check_store(opened, None))
        assert bad(found) == []
        words = "many objects are deleted one by one, since the service refuses DeleteObjects"
        assert words in [each.seen for each in found]
        assert len(refused) == 1, "it is asked once"
        assert list(store.list("")) == []


def test_a_right_that_is_missing_is_no_reason_to_delete_singly(store: S3Store) -> None:
    store.put("a", b"1")
    refuse(store, "DeleteObjects", "AccessDenied", 403)
    with pytest.raises(StoreDenied):
        store.delete(["a"])
    assert not store.deletes_singly


def test_a_listing_that_lags_is_unsafe(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = S3Store.list
    monkeypatch.setattr(S3Store, "list", lambda *a, **k: iter(list(real(*a, **k))[:-1]))
    found = list(check_store(store, None))
    assert "a listing right after a write lacks objects, or has them out of order" in bad(found)
    monkeypatch.undo()
    assert list(store.list("")) == []


def test_a_redis_that_may_lose_messages_is_named(settings: Settings) -> None:
    queue = Queue(settings)
    queue.client.config_set("maxmemory", "1mb")
    try:
        assert any("MiB used of 1" in seen for seen in bad(list(check_redis(queue))))
    finally:
        queue.client.config_set("maxmemory", "0")


def test_what_the_rights_of_a_user_lack_is_named(settings: Settings) -> None:
    admin = Queue(settings).client
    admin.acl_setuser(
        "meagre",
        enabled=True,
        passwords=["+secret"],
        keys=["inkmill:*", "inkmill.*"],
        commands=["+@all", "-@dangerous", "+info", "-rpush", "-zrem"],
    )
    try:
        url = settings.redis_url.replace("//:", "//meagre:").replace(
            settings.redis_url.split("//:")[1].split("@")[0], "secret"
        )
        found = list(check_redis(Queue(settings.model_copy(update={"redis_url": url}))))
        (lacking,) = bad(found)
        assert "send them again" in lacking
        assert "wake those who wait" in lacking
        assert "read progress" not in lacking
    finally:
        admin.acl_deluser("meagre")


def test_no_server_is_said_at_its_line() -> None:
    away = Settings(redis_url="redis://127.0.0.1:1", s3_endpoint="http://127.0.0.1:1")
    from inkmill.cli.commands.doctor import examine

    quick = away.model_copy(update={"redis_timeout": 0.5, "s3_timeout": 0.5})
    found = [each for each in examine(quick, deep=True) if not each.fine]
    assert {each.what for each in found} >= {"redis", "s3"}
    assert all(each.remedy for each in found)
