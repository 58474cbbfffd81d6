"""Damaged and invented bytes for everything that decodes what somebody else wrote.

Valid samples are damaged at random places, JSON also at random leaves. A decoder must either take
the result or refuse it with an error of Inkmill's, within bounds of time and memory. An example is
told by three numbers, which hypothesis makes smaller where one fails.
"""

from __future__ import annotations

import io
import json
import random
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from inkmill import names
from inkmill.backends.queue.workers import Presence
from inkmill.backends.store import MemoryStore
from inkmill.codes import Status
from inkmill.errors import InkmillError, ItemError
from inkmill.forms.make.table import build as build_form
from inkmill.forms.make.table import table as draft_table
from inkmill.imagefile.sniff import Limits, count_pages, read_header
from inkmill.lifecycle.identity import Name, read_name
from inkmill.models.manifest import Manifest
from inkmill.models.pretrained import load
from inkmill.people import lists
from inkmill.people.calibrate import read_truth
from inkmill.people.lists import About, Line
from inkmill.producer.inputs.document_keys import read_keys
from inkmill.producer.inputs.expect import read_list
from inkmill.producer.inputs.page_counter import SECONDS
from inkmill.records import rows
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.events import Event, EventBatch
from inkmill.records.jobs import Job
from inkmill.records.messages import Delivery, Message
from inkmill.records.notices import Waiting
from inkmill.records.pointer import Pointer
from inkmill.records.rows import Row
from inkmill.records.summary import Summary
from inkmill.template.form import Form
from inkmill.template.templates import Templates

ROOT = Path(__file__).parents[1]
#: What one target may make the process grow by: the limits of a record are below it.
_MOST_MEMORY = 2**30
_MOST_EDITS = 12
#: Values that programs stumble over.
_NASTY: tuple[Any, ...] = (
    *(None, True, "", [], {}, 0, -1, 1.5, 10**7, 10**12, 2**63, 10**30, -(10**18), 1e308),
    *("x" * 5000, "\x00", "../../etc/passwd", "\ud800", "9" * 400, "NaN", "¹", "a/b", [[[[]]]]),
    *({"schema": 99}, ["x"] * 500, float("nan"), float("inf")),
)
_BYTES = (
    b'"' + b"x" * 140_000,
    b"",
    b"\x00" * 8,
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xfe",
    b"[" * 2000,
)


@dataclass(frozen=True)
class Target:
    """Something that decodes; ``samples`` are valid, ``read`` raises ``refusal`` or nothing."""

    samples: Callable[[], Sequence[bytes]]
    read: Callable[[bytes], object]
    refusal: type[Exception] = InkmillError


def damage(data: bytes, seed: int, edits: int) -> bytes:
    """A sample with so many edits: bits, bytes, runs, doublings, cuts, and leaves of JSON."""
    rng = random.Random(seed)
    for _ in range(edits):
        data = rng.choice(_EDITS)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) or 1)
    return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Two to eight bytes are replaced, as a length or an offset would be."""
    place, nasty = rng.randrange(len(data) or 1), rng.choice(_BYTES)[: rng.choice((2, 4, 8))]
    return data[:place] + nasty + data[place + len(nasty) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice((*_BYTES, rng.randbytes(5))) + data[place:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.randrange(64) :]


def _double(data: bytes, rng: random.Random) -> bytes:
    place, length = rng.randrange(len(data) or 1), rng.randrange(1, 200)
    return data[:place] + data[place : place + length] * 2 + data[place + length :]


def _leaf(data: bytes, rng: random.Random) -> bytes:
    """One value of a JSON document is another; anything else is flipped."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _flip(data, rng)
    return json.dumps(_replaced(document, rng)).encode()


def _replaced(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        chance = rng.random()
        if chance < 0.1:
            return {name: each for name, each in value.items() if name != key}
        if chance < 0.2:
            return {**value, f"{key}x": rng.choice(_NASTY)}
        return {**value, key: _replaced(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        return [*value[:place], _replaced(value[place], rng), *value[place + 1 :]]
    return rng.choice(_NASTY)


_EDITS = (_flip, _number, _insert, _cut, _drop, _double, _leaf, _leaf)


def fuzz(target: Target, examples: int) -> None:
    """Try so many damaged samples. Fails with the smallest one that is neither read nor refused."""
    samples = target.samples()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.integers(0, len(samples) - 1),
        st.integers(0, 2**32),
        st.integers(0, _MOST_EDITS),
    )
    def one(sample: int, seed: int, edits: int) -> None:
        data, began = damage(samples[sample], seed, edits), time.monotonic()
        with suppress(target.refusal):
            target.read(data)
        # Of a file that takes longer, a producer says so, and gives it up.
        assert time.monotonic() - began < SECONDS

    one()
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < _MOST_MEMORY


# --- samples -------------------------------------------------------------------------------


@cache
def _tally() -> str:
    return (ROOT / "examples/forms/tally.yaml").read_text()


@cache
def _form() -> Form:
    return Form.parse(_tally())


def _messages() -> Sequence[bytes]:
    message = Message("some-job", 7, signature="ab" * 32)
    return [Message("j", 0).entry("inkmill.normal", "tag"), message.entry("inkmill.low", "tag")]


def _jobs() -> Sequence[bytes]:
    plain = Job("some-job", 1e9)
    return [plain.encode(), Job("forms", 1e9, form=_tally()).seal([8, 3], "ab" * 32).encode()]


def _rows() -> Sequence[bytes]:
    made = [
        Row(n, f"{n}.png", 1, Status.OK, digit="7", confidence=0.99, model="ab" * 32, sha256="")
        for n in range(3)
    ]
    return [rows.encode(made), rows.encode([])]


def _chunks() -> Sequence[bytes]:
    items = tuple(Item(n, f"{n}.png", data=b"\x89PNG" * n) for n in range(3))
    return [Chunk("some-job", 0, items).encode(), Chunk("some-job", 1, ()).encode()]


def _events() -> Sequence[bytes]:
    return [EventBatch((Event(3, "total", "117", "111", "ann", 1e9),)).encode()]


def _pictures() -> Sequence[bytes]:
    image = Image.radial_gradient("L").resize((60, 40))
    found = []
    for kind, options in (
        *(("PNG", {}), ("JPEG", {}), ("WEBP", {}), ("BMP", {}), ("GIF", {}), ("PDF", {})),
        *(("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("JPEG", {"progressive": True})),
        *(("TIFF", {"save_all": True, "append_images": [image]}),),
        ("PDF", {"save_all": True, "append_images": [image]}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found.append(buffer.getvalue())
    return found


def _read_picture(data: bytes) -> None:
    limits = Limits(max_pages=50)
    for page in (1, 2):
        try:
            read_header(data, page, limits)
        except ItemError:
            continue
    count_pages(data, limits)


@cache
def _filled(suffix: str) -> bytes:
    lines = [Line(n, f"{n}.png", 1, "", "total", "117", "117", "118", "SUM") for n in range(3)]
    about = About.of(Job("some-job", 1e9, form=_tally()), lists.REVIEW)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"list{suffix}"
        lists.write(path, about, lines)
        return path.read_bytes()


def _saved() -> Sequence[bytes]:
    """As the page for the browser saves it."""
    head = "job,kind,sample,job_id,item,field,shown,typed"
    lines = [f"some-job,review,,some-job,{n},total,'117,'11{n}" for n in range(3)]
    return ["\r\n".join([head, *lines, ""]).encode()]


def _read_name(data: bytes) -> object:
    store = MemoryStore()
    store.put(names.name_pointer("a"), data)
    return read_name(store, "a")


@cache
def _read_file(reader: Callable[[Path], object], suffix: str = ".csv") -> Callable[[bytes], object]:
    folder = tempfile.TemporaryDirectory()

    def read(data: bytes) -> object:
        path = Path(folder.name) / f"list{suffix}"
        path.write_bytes(data)
        return reader(path)

    return read


def _keys() -> Sequence[bytes]:
    lines = ["source;page;key", *(f"scans/{n}.png;{n};'ab {n}'" for n in range(1, 4))]
    return ["\r\n".join(lines).encode(), "\r\n".join(lines).replace(";", "\t").encode("utf-16")]


def _sources() -> Sequence[bytes]:
    return [b'source,page\na.png,1\n"b,c.png",2\n', b"a.png\nb.png\n", "é.png\n".encode("cp1252")]


def _drafted() -> Sequence[bytes]:
    return [draft_table(_form()).encode()]


def _build(path: Path) -> object:
    return build_form(_form(), path.read_bytes().decode("utf-8", "replace"), "table")


def _keyed() -> Sequence[bytes]:
    long = "source,page,field,value\na.png,1,total,117\nb.png,2,total,118\n"
    return [long.encode(), b"source,total\na.png,117\nb.png,118\n"]


def _spreadsheet_parts() -> Sequence[bytes]:
    """The sheet inside of a spreadsheet: damage to the archive around it is noticed by its sums."""
    with zipfile.ZipFile(io.BytesIO(_filled(".xlsx"))) as archive:
        return [archive.read(name) for name in archive.namelist() if "sheet1.xml" in name]


def _read_spreadsheet(part: bytes) -> object:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_filled(".xlsx"))) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            new.writestr(name, part if "sheet1.xml" in name else old.read(name))
    return _read_file(lists.read, ".xlsx")(made.getvalue())


def _templates() -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted((ROOT / "examples/forms").glob("*.yaml"))]


TARGETS = {
    "message": Target(_messages, Message.in_entry),
    "delivery": Target(
        lambda: [Delivery("some-job", 7, "inkmill.normal", "ab" * 8).encode()], Delivery.decode
    ),
    "presence": Target(lambda: [Presence(3, 1e9, 1e9, "ab" * 8, 2.5).encode()], Presence.decode),
    "notice": Target(
        lambda: [Waiting(1e9, 2e9, 3, "it answered 503").encode()],
        lambda data: Waiting.decode(data, "notice"),
    ),
    "job": Target(_jobs, Job.decode),
    "name": Target(lambda: [Name("a", {1: "a", 2: "a-r2"}).encode()], _read_name),
    "pointer": Target(
        lambda: [Pointer("ab" * 32).encode()], lambda data: Pointer.decode(data, "etag")
    ),
    "summary": Target(
        lambda: [Summary("a", 1e9, 2, 16, {"ok": 16}, {}).encode()],
        lambda data: Summary.decode(data, "summary"),
    ),
    "events": Target(_events, lambda data: EventBatch.decode(data, "events")),
    "manifest": Target(lambda: [load().manifest.encode()], Manifest.decode),
    "chunk": Target(_chunks, lambda data: (Chunk.decode(data), ChunkTable.decode(data))),
    "rows": Target(_rows, rows.decode),
    "template": Target(
        _templates, lambda data: Templates.parse(data.decode("utf-8", "surrogateescape"))
    ),
    "picture": Target(_pictures, _read_picture),
    "saved list": Target(_saved, _read_file(lists.read)),
    "archive": Target(lambda: [_filled(".xlsx")], _read_file(lists.read, ".xlsx")),
    "spreadsheet": Target(_spreadsheet_parts, _read_spreadsheet),
    "keys": Target(_keys, _read_file(read_keys)),
    "sources": Target(_sources, _read_file(read_list)),
    "draft's table": Target(_drafted, _read_file(_build)),
    "keyed values": Target(_keyed, _read_file(lambda path: read_truth(path, _form()))),
}
