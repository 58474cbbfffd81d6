"""Log lines: words for people, JSON for machines, and what each is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from inkmill.log import set_up_logging


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
