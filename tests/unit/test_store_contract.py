"""The in-memory store keeps the store's contract; integration tests run it on real S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber
from pydantic import SecretStr

from inkmill.backends.store import MemoryStore, S3Store, Store, Stored, s3_client
from inkmill.errors import Corrupt, PreconditionFailed
from inkmill.settings import Settings
from tests.contracts import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


def test_a_flipped_bit_is_named() -> None:
    store = MemoryStore()
    store.put("a", b"1234")
    stored, modified = store._objects["a"]
    store._objects["a"] = (Stored(b"1235", stored.etag, stored.metadata), modified)
    with pytest.raises(Corrupt, match="object a: 4 bytes"):
        store.get("a")


@pytest.fixture
def stubbed() -> Iterator[tuple[S3Store, Stubber]]:
    """A bucket whose answers the test gives, in order."""
    settings = Settings(s3_access_key="access", s3_secret_key=SecretStr("secret"))
    store = S3Store(s3_client(settings), "bucket")
    with Stubber(store.client) as answers:
        yield store, answers
        answers.assert_no_pending_responses()


def test_a_service_without_conditional_delete_compares_first(
    stubbed: tuple[S3Store, Stubber],
) -> None:
    store, answers = stubbed
    answers.add_response("head_object", {"ETag": "now"})
    with pytest.raises(PreconditionFailed):
        store.delete_if_match("a", "before")
    answers.add_response("head_object", {"ETag": "now"})
    answers.add_client_error("delete_object", "NotImplemented", http_status_code=501)
    answers.add_response("delete_objects", {})
    store.delete_if_match("a", "now")


@pytest.mark.parametrize(("repeated", "left"), [(0, False), (1, True)])
def test_a_delete_that_somebody_else_won_is_told(
    stubbed: tuple[S3Store, Stubber], repeated: int, left: bool
) -> None:
    store, answers = stubbed
    _refuse_delete(answers, repeated, left)
    with pytest.raises(PreconditionFailed):
        store.delete_if_match("a", "now")


def test_a_delete_whose_answer_got_lost_is_done(stubbed: tuple[S3Store, Stubber]) -> None:
    store, answers = stubbed
    _refuse_delete(answers, repeated=1, left=False)
    store.delete_if_match("a", "now")


def _refuse_delete(answers: Stubber, repeated: int, left: bool) -> None:
    answers.add_response("head_object", {"ETag": "now"})
    answers.add_client_error(
        "delete_object",
        "PreconditionFailed",
        http_status_code=412,
        response_meta={"RetryAttempts": repeated},
    )
    if left:
        answers.add_response("head_object", {"ETag": "other"})
    elif repeated:
        answers.add_client_error("head_object", "404", http_status_code=404)
