"""Whatever an entry of a queue holds: either the chunk that it names, or a refusal."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmill import names
from inkmill.errors import BadMessage
from inkmill.records.messages import MOST_BYTES, Delivery, Message

GOOD = Message("some-job", 7)
QUEUE = names.queue("normal")


def entry(body: Any = None, **changes: Any) -> bytes:
    """An entry as Celery sends it, changed."""
    envelope = GOOD.envelope(QUEUE, "tag")
    text = body if isinstance(body, str) else json.dumps(body)
    if body is not None:
        envelope["body"] = base64.b64encode(text.encode()).decode()
    return json.dumps({**envelope, **changes}).encode()


def with_headers(**headers: Any) -> bytes:
    return entry(headers={**GOOD.envelope(QUEUE, "tag")["headers"], **headers})


def with_fields(**fields: Any) -> bytes:
    return entry([[], {**GOOD.encode(), **fields}, {}])


def test_a_message_comes_out_of_the_envelope_that_was_made_for_it() -> None:
    assert Message.in_entry(GOOD.entry(QUEUE, "tag")) == GOOD


def test_a_message_comes_out_of_an_envelope_of_celery() -> None:
    from kombu.utils.json import dumps

    from inkmill.backends.broker import celery_app
    from inkmill.settings import Settings

    app = celery_app(Settings())
    sent = app.amqp.as_task_v2("id", names.TASK, kwargs=GOOD.encode())
    raw = {
        "body": base64.b64encode(dumps(list(sent.body)).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": sent.headers,
        "properties": {**sent.properties, "body_encoding": "base64"},
    }
    assert Message.in_entry(dumps(raw).encode()) == GOOD


@pytest.mark.parametrize(
    "headers",
    [
        {"timelimit": "x"},
        {"timelimit": [1, 2, 3]},
        {"timelimit": {"soft": -1}},
        {"eta": "garbage"},
        {"eta": "2999-01-01T00:00:00+00:00"},
        {"expires": [1]},
        {"expires": "1970-01-01T00:00:00+00:00"},
        {"compression": "nosuch"},
        {"retries": "many"},
        {"stamps": {"a": 1}, "stamped_headers": ["a"]},
        {"shadow": ["os.system"]},
        {"group": 3, "group_index": "x", "chord": {"task": "os.system"}},
        {"id": {"a": "b"}},
        {"root_id": 1e400, "parent_id": float("nan")},
        {"argsrepr": 3, "kwargsrepr": None, "origin": []},
        {"lang": 7, "ignore_result": "no"},
    ],
)
def test_what_an_envelope_asks_for_has_no_effect(headers: dict[str, Any]) -> None:
    assert Message.in_entry(with_headers(**headers)) == GOOD


def test_nothing_of_an_envelope_is_passed_on() -> None:
    plain = GOOD.envelope(QUEUE, "tag")
    evil = json.loads(with_headers(timelimit=[1, 2], eta="2999-01-01", task=names.TASK))
    evil["properties"] |= {"delivery_tag": "mine", "delivery_info": {"routing_key": "other"}}
    read = Message.in_entry(json.dumps(evil).encode())
    assert read.envelope(QUEUE, "tag") == plain


@pytest.mark.parametrize(
    "stray",
    [
        b"",
        b"null",
        b"0",
        b"[]",
        b"\x00\xff raw \xfe",
        b'{"body": "\xff"}',
        b"[" * MOST_BYTES,
        b'{"a":' * 3000,
        b"9" * 5000,
        b'{"headers": [], "properties": {}, "body": ""}',
        b" " * (MOST_BYTES + 1),
        entry([[], GOOD.encode()]),
        entry([[], GOOD.encode(), {}, 1, 2]),
        entry([[], GOOD.encode(), "x"]),
        entry([[], [GOOD.encode()], {}]),
        entry([[1, 2, 3], GOOD.encode(), {}]),
        entry([{}, GOOD.encode(), {}]),
        entry([None, GOOD.encode(), {}]),
        entry({"args": [], "kwargs": GOOD.encode()}),
        entry("[" * 9000),
        entry('[[], {"schema": 1, "job": "a", "chunk": ' + "[" * 900 + "]" * 900 + "}, {}]"),
        entry("\ud800".encode("utf-8", "surrogatepass").decode("latin-1")),
        entry(body="[[], NaN, {}]"),
        entry(**{"body": "!!!"}),
        entry(**{"body": 3}),
        entry(**{"content-type": "application/x-python-serialize"}),
        entry(**{"content-encoding": "binary"}),
        entry(properties={"body_encoding": "utf-8"}),
        entry(properties=None),
        entry(headers=None),
        with_headers(task="os.system"),
        with_headers(task=None),
        with_headers(task=["[" * 50] * 50),
        with_fields(schema=2),
        with_fields(schema=True),
        with_fields(job=""),
        with_fields(job="../../etc"),
        with_fields(job="x" * 300),
        with_fields(job=["a"]),
        with_fields(chunk=-1),
        with_fields(chunk=10**7 + 1),
        with_fields(chunk=10**400),
        with_fields(chunk=1.0),
        with_fields(chunk="1"),
        with_fields(chunk=True),
        with_fields(chunk=None),
        with_fields(more=1),
    ],
)
def test_what_names_no_chunk_is_refused(stray: bytes) -> None:
    with pytest.raises(BadMessage) as refused:
        Message.in_entry(stray)
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@given(st.binary(max_size=300))
def test_bytes_are_a_message_or_refused(data: bytes) -> None:
    with pytest.raises(BadMessage):
        Message.in_entry(data)


@given(_JSON, _JSON, _JSON, st.sampled_from(["body", "headers", "properties", "content-type"]))
def test_parts_of_an_envelope_are_read_or_refused(
    arguments: Any, fields: Any, part: Any, name: str
) -> None:
    for each in (
        entry([arguments, fields, part]),
        entry([[], {**GOOD.encode(), "job": fields, "chunk": part}, {}]),
        entry(**{name: part}),
    ):
        with suppress(BadMessage):
            found = Message.in_entry(each)
            assert found == Message(found.job, found.chunk)
            assert names.is_job(found.job)


@given(st.dictionaries(st.text(max_size=12), _JSON, max_size=6))
def test_headers_never_change_what_is_delivered(headers: dict[str, Any]) -> None:
    assert Message.in_entry(with_headers(**{**headers, "task": names.TASK})) == GOOD


def test_a_delivery_comes_out_as_it_went_in() -> None:
    delivery = Delivery("some-job", 7, names.queue("low", single=True), "ab" * 8)
    assert Delivery.decode(delivery.encode()) == delivery
    assert (delivery.message, delivery.task) == (GOOD, "some-job:7")


@pytest.mark.parametrize(
    "changes",
    [
        {"queue": "inkmill:workers"},
        {"queue": "inkmillxnormal"},
        {"queue": "inkmill.normal\n"},
        {"queue": None},
        {"job": "../x"},
        {"chunk": -1},
        {"worker": ""},
        {"worker": "w" * 201},
        {"schema": 2},
        {"more": 1},
    ],
)
def test_a_record_that_is_no_delivery_is_refused(changes: dict[str, Any]) -> None:
    record = {"job": "a", "chunk": 0, "queue": QUEUE, "worker": "w", "schema": 1}
    Delivery.decode(json.dumps(record).encode())
    with pytest.raises(BadMessage):
        Delivery.decode(json.dumps({**record, **changes}).encode())


@given(st.binary(max_size=200))
def test_bytes_are_no_delivery(data: bytes) -> None:
    with pytest.raises(BadMessage):
        Delivery.decode(data)
