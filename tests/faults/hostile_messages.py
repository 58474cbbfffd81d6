"""Entries that somebody who reaches Redis could put into a queue, and what becomes of each.

``READ`` ones name a job and a chunk, and ask for something besides, which has no effect; ``ASIDE``
ones name no chunk. Members of one kind differ in what a naive reader would stumble over.
"""

from __future__ import annotations

import base64
import gzip
import json
import pickle
from typing import Any

READ, ASIDE = "read", "set aside"

_GOOD = {"schema": 1, "job": "no-such-job", "chunk": 0}
_HEADERS = {"lang": "py", "task": "inkmill.chunk", "id": "5b1f0c2a"}
_PROPERTIES = {
    "correlation_id": "x",
    "delivery_mode": 2,
    "priority": 0,
    "body_encoding": "base64",
    "delivery_info": {"exchange": "", "routing_key": "inkmill.normal"},
    "delivery_tag": "7d1c",
}
_EVIL_TASK = {"task": "os.system", "args": ["id"]}
_HUGE = int("9" * 400)


def envelope(body: Any = None, wishes: dict[str, Any] | None = None, /, **changes: Any) -> bytes:
    """An entry as Celery makes it; ``body`` is JSON, or bytes that are packed as they are,
    ``wishes`` are further headers."""
    content = [[], _GOOD, {}] if body is None else body
    packed = content if isinstance(content, bytes) else json.dumps(content).encode()
    made = {
        "body": base64.b64encode(packed).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**_HEADERS, **(wishes or {})},
        "properties": _PROPERTIES,
    }
    return json.dumps({**made, **changes}).encode()


def _with(**fields: Any) -> bytes:
    return envelope([[], {**_GOOD, **fields}, {}])


def _about(**changes: Any) -> bytes:
    return envelope(properties={**_PROPERTIES, **changes})


def _each(names: str, *values: Any) -> list[dict[str, Any]]:
    """One mapping for each value, of one name or several to it."""
    return [dict.fromkeys(names.split(), value) for value in values]


_HEADER_WISHES: tuple[dict[str, Any], ...] = (
    *_each("timelimit", "x", {}, [1], [1, 2, 3], [-1, -1], ["a", "b"], 7),
    *_each("eta", "garbage", "2999-01-01T00:00:00+00:00", [1], -1, {"a": 1}),
    *_each("expires", [1], "1970-01-01T00:00:00+00:00", -1, "soon", {}),
    *_each("retries", "many", -1, _HUGE, None),
    *_each("id", None, [], {"a": "b"}, "\u0000", "x" * 5000),
    *_each("root_id parent_id", [1], {}, float("nan")),
    *_each("group group_index", "x", [1], _HUGE),
    *_each("chord", _EVIL_TASK, "x", [_EVIL_TASK]),
    *_each("stamped_headers stamps", ["a"], {"a": 1}, 7),
    *_each("compression", "nosuch", "gzip", "zstd", 1),
    *_each("argsrepr kwargsrepr", 1, None, ["x"]),
    *_each("lang", "php", None, 7),
    *({"shadow": "os.system"}, {"origin": []}, {"ignore_result": "no"}, {"reply_to": "x"}),
    *({"replaced_task_nesting": "x"}, {"meth": "shutdown"}, {"x" * 3000: 1}),
)
_PROPERTY_WISHES: tuple[dict[str, Any], ...] = (
    *_each("priority", 10**9, -1, "high", None),
    *_each("delivery_tag", None, [], "x" * 5000),
    *_each("delivery_info", {}, None, {"exchange": "other", "routing_key": 7}),
    *({"reply_to": "other"}, {"correlation_id": {}}, {"delivery_mode": "x"}),
)
_BODIES: tuple[Any, ...] = (
    *({}, [], 0, "x", [_GOOD, [], {}], [[], _GOOD], [[], _GOOD, {}, 1], [[], _GOOD, {}, 1, 2]),
    *(
        [[1, 2, 3], _GOOD, {}],
        [{}, _GOOD, {}],
        [[], [_GOOD], {}],
        [[], _GOOD, "x"],
        [[], _GOOD, []],
    ),
    *({"args": [], "kwargs": _GOOD}, [[], {}, {}], [[], None, {}]),
)
_RAW_BODIES = (
    *(b"", b"[" * 9000, b'[[], {"a":' * 1500, b"[[], NaN, {}]", b"\xff\xfe", b"9" * 6000),
    *(gzip.compress(json.dumps([[], _GOOD, {}]).encode()), pickle.dumps([[], _GOOD, {}])),
    b'[[], {"schema": 1, "job": "no-such-job", "chunk": 0, "chunk": 10000001}, {}]',
    b'[[], {"schema": 1, "job": "\\ud800", "chunk": 0}, {}]',
)
_FIELDS: tuple[dict[str, Any], ...] = (
    *_each("job", "", "../../etc", "a/b", "x" * 500, "a\u0000b", ["a"], None, 7),
    *_each("chunk", -1, 10**7 + 1, 10**12, _HUGE, "0", 1.5, True, None, [0]),
    *_each("schema", 0, 2, 99, "1", True, None),
    *_each("signature", "x", "AB" * 32, 7),
    *({"more": 1}, {"__class__": "os"}),
)
_CODINGS: tuple[dict[str, Any], ...] = (
    *_each("content-type", "application/x-python-serialize", "text/yaml", None, []),
    *_each("content-encoding", "binary", "utf-16", None, {}),
    *_each("body", "!!! not base64", 3, None, [], "=" * 4000),
    *_each("properties", None, [], {}, "x", {"body_encoding": "utf-8"}),
    *_each("headers", None, [], "x", 7, {}),
)
#: The same text in other codings is the same JSON.
_RECODED = b"\xef\xbb\xbf" + envelope(), envelope().decode().encode("utf-16")
_BYTES = (
    *(b"", b"\0", b"null", b"0", b"[]", b"{", b"\xff\xfe raw", b"[" * 100_000, b" " * 17_000),
    *(b'{"a":' * 3000, b'{"a":"' + b"x" * (50 << 20) + b'"}', b"9" * 16_000, b"-" * 16_000),
    *(gzip.compress(envelope()), envelope() + b"{}"),
)

MESSAGES: dict[str, list[tuple[bytes, str]]] = {
    "headers": [
        *((envelope(None, each), READ) for each in _HEADER_WISHES),
        *((_about(**each), READ) for each in _PROPERTY_WISHES),
        (envelope([[], _GOOD, {"callbacks": [_EVIL_TASK], "chain": [_EVIL_TASK]}]), READ),
        (envelope([[], _GOOD, {"errbacks": "x", "chord": 7}]), READ),
        *((envelope(None, each), ASIDE) for each in _each("task", "os.system", None, ["x"], {})),
        *((envelope(**each), ASIDE) for each in _CODINGS),
    ],
    "bodies": [
        *((envelope(each), ASIDE) for each in _BODIES),
        *((envelope(each), ASIDE) for each in _RAW_BODIES),
        *((_with(**each), ASIDE) for each in _FIELDS),
    ],
    "raw entries": [
        *((each, READ) for each in _RECODED),
        *((each, ASIDE) for each in _BYTES),
    ],
}
