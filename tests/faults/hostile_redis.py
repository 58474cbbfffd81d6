"""What somebody who reaches Redis could make of the keys that Inkmill keeps there.

Each takes a client and the id of a job that is under way, all of whose chunks are in Redis.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from inkmill import names
from inkmill.backends.broker import UNACKED, UNACKED_INDEX, UNACKED_MUTEX
from inkmill.records.messages import Delivery

Spoil = Callable[[Any, str], object]
_DEEP = "[" * 50_000
_FAR = 10**14


def _another_type(key: str, kind: str) -> Spoil:
    def spoil(client: Any, job: str) -> None:
        name = key.format(job=job)
        client.delete(name)
        {
            "string": lambda: client.set(name, "junk"),
            "list": lambda: client.rpush(name, "junk"),
            "hash": lambda: client.hset(name, "junk", "junk"),
            "set": lambda: client.sadd(name, "junk"),
            "stream": lambda: client.xadd(name, {"junk": "junk"}),
        }[kind]()

    return spoil


def _report(**fields: Any) -> Spoil:
    report = {"slots": 3, "seen": 0.0, "since": 0.0, "process": "x", "rate": 0.0, "schema": 1}

    def spoil(client: Any, _: str) -> None:
        now = float(client.time()[0])
        client.hset(names.WORKERS, "liar", json.dumps({**report, "seen": now, **fields}))

    return spoil


def _many_reports(client: Any, _: str) -> None:
    now = float(client.time()[0])
    report = json.dumps({"slots": 1000, "seen": now, "since": now - 99, "process": "x"})
    client.hset(names.WORKERS, mapping={f"liar-{n}": report for n in range(5_000)})


def _many_records(client: Any, _: str) -> None:
    rng = random.Random(1)
    client.hset(UNACKED, mapping={f"junk-{n}": rng.randbytes(50) for n in range(500)})


def _large_records(client: Any, _: str) -> None:
    client.hset(UNACKED, mapping={f"large-{n}": b"x" * 2**20 for n in range(8)})
    client.zadd(UNACKED_INDEX, {f"large-{n}": 0 for n in range(8)})


def _many_places(client: Any, _: str) -> None:
    client.zadd(UNACKED_INDEX, {f"place-{n}": 0 for n in range(20_000)})


def _forged_delivery(client: Any, job: str) -> None:
    for number in range(5):
        forged = Delivery(job, number, names.queue("low"), "nobody")
        client.hset(UNACKED, f"forged-{number}", forged.encode())
        client.zadd(UNACKED_INDEX, {f"forged-{number}": float(client.time()[0]) - 10**6})


def _hint(key: Callable[[str], str], members: dict[str, float]) -> Spoil:
    return lambda client, job: client.zadd(key(job), members)


def _field(key: Callable[[str], str], name: str, value: str) -> Spoil:
    return lambda client, job: client.hset(key(job), name, value)


def _lock(key: str, milliseconds: int | None = None) -> Spoil:
    return lambda client, _: client.set(key, "x", px=milliseconds)


REDIS: dict[str, dict[str, Spoil]] = {
    "deliveries": {
        "raw bytes": lambda client, _: client.hset(UNACKED, b"\xff", b"\xff\xfe"),
        "nothing": lambda client, _: client.hset(UNACKED, "", ""),
        "deep JSON": lambda client, _: client.hset(UNACKED, "deep", _DEEP),
        "kombu's own form": lambda client, _: client.hset(UNACKED, "a", '[{"body": ""}, "", "x"]'),
        "many records": _many_records,
        "large records": _large_records,
        "many places": _many_places,
        "places for ever": lambda client, _: client.zadd(UNACKED_INDEX, {"a": "inf", "b": "-inf"}),
        "forged ones": _forged_delivery,
        "records as text": _another_type(UNACKED, "string"),
        "records as a list": _another_type(UNACKED, "list"),
        "places as a hash": _another_type(UNACKED_INDEX, "hash"),
        "the lock for ever": lambda client, _: client.set(UNACKED_MUTEX, "x"),
        "the lock for ages": lambda client, _: client.set(UNACKED_MUTEX, "x", px=_FAR),
        "the lock as a list": _another_type(UNACKED_MUTEX, "list"),
    },
    "queues": {
        **{
            f"as a {kind}": _another_type("inkmill.low", kind) for kind in ("string", "hash", "set")
        },
        "as a stream": _another_type("inkmill.high.single", "stream"),
        "its binding": _another_type("_kombu.binding.inkmill.low", "string"),
        "empty entries": lambda client, _: client.lpush("inkmill.normal", *[b""] * 200),
        "a flood": lambda client, _: client.lpush("inkmill.low", *[b"junk " * 20] * 2_000),
    },
    "workers": {
        "raw bytes": lambda client, _: client.hset(names.WORKERS, b"\xff", b"\xff"),
        "deep JSON": lambda client, _: client.hset(names.WORKERS, "deep", _DEEP),
        "a billion slots": _report(slots=10**9),
        "slots below none": _report(slots=-5),
        "text for slots": _report(slots="many"),
        "seen in the future": _report(seen=1e300),
        "an endless rate": _report(rate=1e308),
        "a newer one": _report(schema=99, more=1),
        "thousands": _many_reports,
        "as a list": _another_type(names.WORKERS, "list"),
        "as text": _another_type(names.WORKERS, "string"),
        "the silent as text": _another_type(names.SILENT, "string"),
        "the silent as bytes": lambda client, _: client.zadd(names.SILENT, {b"\xff\xfe": 0}),
    },
    "locks": {
        f"{key} {how}": spoil
        for key in (names.SWEEP_LOCK, names.EXPIRY_LOCK, names.OUTBOX_LOCK)
        for how, spoil in {
            "for ever": _lock(key),
            "for ages": _lock(key, _FAR),
            "as a hash": _another_type(key, "hash"),
        }.items()
    },
    "set aside": {
        "as text": _another_type(names.ASIDE, "string"),
        "the count as a list": _another_type(names.ASIDE_COUNT, "list"),
        "the count as text": lambda client, _: client.set(names.ASIDE_COUNT, "many"),
        "the count at its end": lambda client, _: client.set(names.ASIDE_COUNT, 2**63 - 1),
        "the count below none": lambda client, _: client.set(names.ASIDE_COUNT, -(2**60)),
    },
    "hints of a job": {
        "backlog of words": _hint(names.backlog, {"x": 0, "": 1, "-1": 2, "1e3": 3}),
        "backlog of absurd numbers": _hint(names.backlog, {"9" * 30: 0, "99999999": 1}),
        "backlog of other chunks": _hint(names.backlog, {"77": 0, "4000": 1}),
        "sent words": _hint(names.sent, {"x": 0, "1.5": 1, "\u0663": 2}),
        "sent for ever": _hint(names.sent, {"0": float("inf"), "1": float("-inf"), "2": 1e300}),
        "a full window": _hint(names.sent, {str(n): 4e9 for n in range(1000, 1200)}),
        "tries that are words": _field(names.tries, "0", "x y z"),
        "tries without number": _field(names.tries, "1", ""),
        "countless tries": _field(names.tries, "2", "9" * 40),
        "many tries": _field(names.tries, "3", "1000000000000"),
        "progress in words": _field(names.progress, "rows", "x"),
        "progress without end": _field(names.progress, "rows", "9" * 18),
        "progress below none": _field(names.progress, "status:ok", "-5"),
        "progress of nothing": _field(names.progress, "status:\x00", "5"),
        "all are counted": lambda client, job: client.set(names.counted(job), b"\xff" * 1000),
        "an end before the end": lambda client, job: client.rpush(names.ended(job), "x"),
        **{
            f"{key('')} as {kind}": _another_type(key("{job}"), kind)
            for key in (names.backlog, names.sent, names.tries, names.progress, names.counted)
            for kind in ("string", "list")
        },
        "its end as a hash": _another_type(names.ended("{job}"), "hash"),
    },
}
