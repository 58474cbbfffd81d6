"""Logs to stderr: readable lines on a terminal, one JSON object per line otherwise.

A log call names its subject with ``extra={"job": ..., "chunk": ..., "model": ...}``; both
formats show these fields on the line.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from inkmill.urls import redact

#: The subjects of a line, in the order in which they are shown.
FIELDS = ("job", "chunk", "model", "worker")
#: Attributes that every record has.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: Libraries that log more at level info than an operator wants to read.
_QUIET = ("amqp", "boto3", "botocore", "celery", "kombu", "s3transfer", "urllib3")


class HumanFormatter(logging.Formatter):
    """``18:02:39 warning  chunk was lost  job=scans chunk=3``"""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        about = "".join(f"  {name}={value}" for name, value in _about(record).items())
        line = f"{clock} {record.levelname.lower():<8} {record.getMessage()}{about}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, then its subjects."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            **_about(record),
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class Repeats:
    """Remembers which lines this process logged, so that what comes again at each look is told
    once."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._told: dict[str, None] = {}

    def level(self, line: str, first: int) -> int:
        """The level of a line: ``first`` if it was not told lately, else debug."""
        if line in self._told:
            return logging.DEBUG
        self._told[line] = None
        if len(self._told) > self._most:
            del self._told[next(iter(self._told))]
        return first


def set_up_logging(kind: str, level: str) -> None:
    """Send this process's logs to stderr; ``kind`` is auto, human or json (see Settings)."""
    if kind == "auto":
        kind = "human" if sys.stderr.isatty() else "json"
    handler = logging.StreamHandler()
    handler.setFormatter(HumanFormatter() if kind == "human" else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _about(record: logging.LogRecord) -> dict[str, object]:
    """The extra fields of a log call: the known ones first, then figures it added."""
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    found = {name: extra.pop(name, None) for name in FIELDS} | extra
    return {name: value for name, value in found.items() if value not in (None, "")}
