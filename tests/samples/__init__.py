"""Stored samples of everything that Inkmill keeps, one folder for each schema number.

``tests/samples/v1`` is a bucket as files, and ``beside.json`` what the files cannot hold: metadata
of objects, and entries of Redis. Tests read every folder from then on, with the program as it is
now (tests/unit/test_samples.py): this is what makes an upgrade safe. A folder is never changed once
a release has written such objects. Whoever raises a schema number makes the next one with
``python -m tests.samples v2``, in the same commit.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inkmill.backends.store import Store
from inkmill.backends.store.checksum import DIGEST
from inkmill.backends.store.memory import MemoryStore
from inkmill.producer import Connection, results

FOLDER = Path(__file__).parent
VERSIONS = sorted(path.name for path in FOLDER.iterdir() if path.name.startswith("v"))
_BUCKET, _BESIDE = "bucket", "beside.json"


@dataclass(frozen=True)
class Sample:
    """A bucket, the entries of Redis by kind, and what results of its jobs are to be."""

    store: Store
    redis: Mapping[str, bytes]
    rows: Mapping[str, list[list[str]]]

    def objects(self) -> list[str]:
        """The keys of all objects, in order."""
        return [entry.key for entry in self.store.list("")]


#: Jobs of a sample whose results are compared.
_FINISHED = ("digits", "stopped", "tally", "old", "new")


def rows_of(connection: Connection) -> dict[str, list[list[str]]]:
    """Job -> its results as people see them: source, status, code, digit, values of fields."""
    return {
        job: [
            [
                row.source,
                str(row.status),
                str(row.code or ""),
                row.digit,
                *(f"{each.name}={each.value} {each.status}" for each in row.fields),
            ]
            for row in results(job, connection=connection)
        ]
        for job in _FINISHED
    }


def load(version: str) -> Sample:
    """A stored sample, in a store of its own."""
    folder = FOLDER / version
    beside = json.loads((folder / _BESIDE).read_text(encoding="utf-8"))
    store = MemoryStore()
    for path in sorted((folder / _BUCKET).rglob("*")):
        if path.is_file():
            key = path.relative_to(folder / _BUCKET).as_posix()
            store.put(key, path.read_bytes(), metadata=beside["metadata"].get(key))
    redis = {kind: base64.b64decode(entry) for kind, entry in beside["redis"].items()}
    return Sample(store, redis, beside["rows"])


def save(version: str, sample: Sample) -> None:
    """Write a sample. Raises FileExistsError: an older one is never changed."""
    folder = FOLDER / version
    folder.mkdir()
    about = {}
    for key in sample.objects():
        stored = sample.store.get(key)
        path = folder / _BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored.data)
        if metadata := {name: text for name, text in stored.metadata.items() if name != DIGEST}:
            about[key] = metadata
    redis = {kind: base64.b64encode(entry).decode() for kind, entry in sample.redis.items()}
    beside = {"metadata": about, "redis": redis, "rows": sample.rows}
    text = json.dumps(beside, indent=1, ensure_ascii=False, sort_keys=True)
    (folder / _BESIDE).write_text(text + "\n", encoding="utf-8")
