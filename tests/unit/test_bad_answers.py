"""An engine that a file has taken over may say anything: it is killed, and the worker goes on."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import textwrap
from concurrent.futures import Future
from typing import Any

import pytest

from inkmill.codes import Status
from inkmill.errors import Corrupt, ModelError
from inkmill.records import rows
from inkmill.records.rows import Row
from inkmill.settings import Settings
from inkmill.worker.link import BadFrame, ChunkResult, Frame, ModelPayload
from inkmill.worker.pool.handle import Died, EngineHandle

#: Answers its first request with the bytes on its command line, then waits.
_LIAR = textwrap.dedent("""
    import sys, time
    from multiprocessing.connection import Connection
    link, said = Connection(int(sys.argv[1])), bytes.fromhex(sys.argv[4])
    link.recv_bytes()
    link._send(said)
    time.sleep(60)
""")


def framed(head: Any, *parts: bytes) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    data = struct.pack("<I", len(text)) + text
    return struct.pack("!i", len(data)) + data + b"".join(parts)


LIES = {
    "nothing": struct.pack("!i", 0),
    "no header": framed(b""),
    "no JSON": framed(b"\xff\xfe"),
    "too deep": framed(b"[" * 20_000),
    "a list": framed([1]),
    "no parts": framed({"op": "loaded"}),
    "parts that are text": framed({"op": "loaded", "parts": "x"}),
    "a negative part": framed({"op": "loaded", "parts": [-1]}),
    "a part of a terabyte": framed({"op": "loaded", "parts": [10**12]}),
    "many gigabytes together": framed({"op": "loaded", "parts": [2**29] * 3}),
    "a part that is true": framed({"op": "loaded", "parts": [True]}, b"x"),
    "a header of two gigabytes": struct.pack("!i", 2**31 - 1),
    "a header of an exabyte": struct.pack("!i", -1) + struct.pack("!Q", 2**60),
    "no request": framed({"op": "rows", "parts": []}),
    "another's request": framed({"op": "rows", "request": 10**9, "parts": []}),
    "a request that is text": framed({"op": "rows", "request": "x", "parts": []}),
    "no op": framed({"request": 1, "parts": []}),
}


@pytest.mark.parametrize("said", LIES.values(), ids=LIES)
def test_what_is_no_answer_ends_the_engine_and_frees_who_waits(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return real([sys.executable, "-c", _LIAR, *command[-3:], said.hex()], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    engine = EngineHandle(Settings(), 1)
    asked: Future[Frame] = engine.load(ModelPayload("ab" * 32, b"", b"", b""))
    with pytest.raises(Died):
        asked.result(timeout=20)
    assert not engine.alive


def answer(**changes: Any) -> Frame:
    made = [Row(n, f"{n}.png", 1, Status.OK, digit="7") for n in range(2)]
    counts = rows.count(made)
    head = {
        **{"op": "rows", "rows": 2, "statuses": dict(counts.statuses), "codes": {}, "crops": 2},
        **{"seconds": 0.1, "pictures": [], "given_up": {}, "stages": {"decode": 0.1}},
        **{"times": [["decode", -1, 1, 2]], "batches": [2]},
    }
    kept = {**head, **changes}
    return Frame({name: kept[name] for name in kept if kept[name] is not ...}, [rows.encode(made)])


def test_an_answer_is_read() -> None:
    found = ChunkResult.of(answer())
    assert (found.rows, found.statuses["ok"], found.crops) == (2, 2, 2)


@pytest.mark.parametrize(
    "changes",
    [
        *({name: ...} for name in ("op", "rows", "statuses", "codes", "crops", "pictures")),
        {"op": "refused"},
        {"rows": -1},
        {"rows": 10**9, "statuses": {"ok": 10**9}},
        {"rows": 3},
        {"rows": 2.0},
        {"rows": True, "statuses": {"ok": True}},
        {"rows": "2"},
        {"rows": None},
        {"statuses": {"ok": 3, "review": -1}},
        {"statuses": {"fine": 2}},
        {"statuses": [2]},
        {"codes": {"NOT_A_CODE": 1}},
        {"codes": {"TRUNCATED": -1}},
        {"codes": {"TRUNCATED": 10**30}},
        {"crops": -5},
        {"crops": "many"},
        {"crops": float("inf")},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": [1]},
        {"pictures": [1]},
        {"pictures": ["../../x"]},
        {"pictures": [-1]},
        {"given_up": {"x": ["CRASHED", "y"]}},
        {"given_up": {"1": ["NOT_A_CODE", "y"]}},
        {"given_up": {"-1": ["CRASHED", "y"]}},
        {"given_up": {"1": "CRASHED"}},
        {"given_up": [1]},
        {"stages": {"x" * 9999: 1.0}},
        {"stages": {"decode": -1.0}},
        {"stages": {"decode": None}},
        {"times": [["decode", -1, 1]]},
        {"times": [["decode", -1, "a", 2]]},
        {"times": [["other", -1, 1, 2]]},
        {"times": [["decode", -1, 1, 2]] * 20_000},
        {"batches": [-1]},
        {"batches": 3},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_an_answer_with_absurd_figures_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(BadFrame):
        ChunkResult.of(answer(**changes))


def test_a_refusal_is_passed_on_in_bounds() -> None:
    words = "x" * 10**6
    for kind, error in (("corrupt", Corrupt), ("model", ModelError)):
        with pytest.raises(error) as refused:
            ChunkResult.of(Frame({"op": "refused", "kind": kind, "message": words}))
        assert len(str(refused.value)) < 3000
