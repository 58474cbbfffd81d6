"""Log lines: words for people, JSON for machines, and what each is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from inkmill.log import Repeats, set_up_logging
from inkmill.urls import redact


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def logged(monkeypatch: pytest.MonkeyPatch, kind: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    set_up_logging(kind, level)
    return stream


def test_a_line_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, "human")
    extra = {"chunk": 0, "job": "scans", "seconds": 1.5, "model": ""}
    logging.getLogger("inkmill.worker").info("read %d items", 3, extra=extra)
    words = stream.getvalue().split(None, 1)[1]
    assert words == "info     read 3 items  job=scans  chunk=0  seconds=1.5\n"


def test_a_line_for_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, "json")
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("inkmill.worker").exception("failed", extra={"job": "ä", "chunk": 7})
    line = json.loads(stream.getvalue())
    assert line.pop("exception").endswith("ValueError: inside")
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "error",
        "logger": "inkmill.worker",
        "message": "failed",
        "job": "ä",
        "chunk": 7,
    }


def test_auto_is_json_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, "auto")
    logging.getLogger("inkmill").warning("one")
    logging.getLogger("inkmill").warning("two\nlines")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == [
        "one",
        "two\nlines",
    ]


def test_levels_and_quiet_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = logged(monkeypatch, "human", "info")
    logging.getLogger("inkmill").debug("not this")
    logging.getLogger("kombu.transport").info("nor this")
    logging.getLogger("kombu.transport").warning("but this")
    assert stream.getvalue().endswith("warning  but this\n")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("kind", ["human", "json"])
def test_no_password_is_logged(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    stream = logged(monkeypatch, kind)
    log = logging.getLogger("inkmill.worker")
    log.info("connecting to %s", "redis://user:hunter2@redis:6379/0")
    try:
        raise ValueError("cannot reach inkmills://:hunter2@redis, ask admin")
    except ValueError:
        log.exception("lost https://me:hunter2@s3.example.org/bucket?token=hunter2")
    text = stream.getvalue()
    assert "hunter2" not in text
    assert "redis:6379/0" in text
    assert "s3.example.org/bucket" in text
    assert "ask admin" in text


@pytest.mark.parametrize(
    "text",
    [
        "s3://scans/ann@home/page 1.png cannot be read",
        "job survey-r2: 3 chunks, see https://example.org/a@b",
        "send questions to ann@example.org",
        "worker host:123 is ready",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert redact(text) == text


def test_a_line_that_comes_again_is_told_once() -> None:
    repeats = Repeats(most=2)
    levels = [repeats.level(line, logging.ERROR) for line in "aabbcab"]
    error, debug = logging.ERROR, logging.DEBUG
    assert levels == [error, debug, error, debug, error, error, error]
