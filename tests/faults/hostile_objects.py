"""What somebody who writes to the bucket could put there; each takes a store and makes objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from inkmill import names
from inkmill.backends.store import Store
from inkmill.records.chunks import Chunk, Item
from inkmill.records.codec import MOST_ITEMS
from inkmill.records.jobs import Job
from inkmill.records.notices import Waiting

Spoil = Callable[[Store], object]
_JOB = "20260101-000000-00000000000000{:02x}"


def _record(number: int, **changes: Any) -> bytes:
    sealed = json.loads(Job(_JOB.format(number), 1.0, version="ab" * 32).seal([3, 2], "").encode())
    return json.dumps({**sealed, **changes}).encode()


def _open_job(number: int, record: bytes, marker: bytes = b"") -> Spoil:
    def spoil(store: Store) -> None:
        job = _JOB.format(number)
        store.put(names.open_marker(job), marker)
        store.put(names.job_record(job), record)

    return spoil


def _aliases(number: int) -> str:
    return f"b{number + 1}: &b{number + 1} [{', '.join([f'*b{number}'] * 9)}]\n"


_RUNS = json.dumps([[1, 1]] * 1_000_001).encode()
_RECORDS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"\xff\xfe\x00",
    "deep JSON": b"[" * 1_000_000,
    "a list": b"[]",
    "a newer one": b'{"schema": 99}',
    "a million runs of chunks": _record(5, chunks=1_000_001, items=1_000_001).replace(
        b"[[3, 1], [2, 1]]", _RUNS
    ),
    "ten million chunks": _record(6, chunks=10**7, items=10**7, layout=[[1, 10**7]]),
    "a trillion chunks": _record(7, chunks=10**12, items=10**15, layout=[[1000, 10**12]]),
    "numbers without end": _record(8, chunks=int("9" * 300)),
    "a template of a million entries": _record(9, form="inkmill_form: 1\na:\n" + "- a\n" * 10**6),
    "a template that nests": _record(10, form="inkmill_form: 1\na: " + "[" * 10**5),
    "a template of aliases": _record(
        11,
        form="a: &a [x]\n"
        + "".join(
            f"b{n}: &b{n} [{', '.join([f'*{chr(97)}' if not n else f'*b{n - 1}'] * 9)}]\n"
            for n in range(9)
        ),
    ),
    "a model that is none": _record(12, options={"model": "../../etc"}),
    "a hook that leads inside": _record(13, on_done="http://169.254.169.254/latest"),
    "a revision of a billion billions": _record(14, revision=10**18),
    "another's id": _record(99),
}


def _chunks_of_nobody(store: Store) -> None:
    for key in ("x", "99999999999999999999", "-1", "0", "00000.parquet.parquet"):
        store.put(f"{names.chunks(_JOB.format(40))}{key}.parquet", b"junk")
        store.put(f"{names.results(_JOB.format(40))}{key}.parquet", b"junk")
    _open_job(40, Job(_JOB.format(40), 1.0).encode())(store)


def _names(store: Store) -> None:
    for name, data in {"a": b"{", "b": b"[" * 10**6, "d": b'{"schema": 9}'}.items():
        store.put(f"{names.NAMES}{name}.json", data)


def _notices(store: Store) -> None:
    for number, data in enumerate(
        (b"", b"{", b"[" * 10**6, b'{"schema": 2}', Waiting(1.0, attempts=MOST_ITEMS).encode())
    ):
        store.put(names.outbox(_JOB.format(50 + number)), data)
    store.put(f"{names.OUTBOX}a b", b"")


OBJECTS: dict[str, Spoil] = {
    **{
        f"a record: {what}": _open_job(number, data)
        for number, (what, data) in enumerate(_RECORDS.items())
    },
    "markers of nothing": lambda store: [
        store.put(f"{names.OPEN}{key}", data)
        for key, data in {"": b"", "a b": b"", "a" * 200: b"", "b": b"{" * 10**6}.items()
    ],
    "markers of absurd labels": lambda store: [
        store.put(names.open_marker(_JOB.format(60 + number)), data)
        for number, data in enumerate(
            (b'{"label": "../../x", "schema": 1}', b'{"label": "' + b"x" * 10**6 + b'"}', b"\xff")
        )
    ],
    "days that are none": lambda store: [
        store.put(f"{names.EXPIRY}{key}", b"")
        for key in ("0000-00-00/x", "0000-01-01/a b", "junk", "-1/" + _JOB.format(1))
    ],
    "chunks that are none": _chunks_of_nobody,
    "names that are none": _names,
    "notices that are none": _notices,
    "folders that are none": lambda store: [
        store.put(f"jobs/{key}/job.json", b"{}") for key in (" ", "a b", "\u2028", "x" * 200)
    ],
}


def _bomb(**columns: Any) -> Callable[[bytes], bytes]:
    """A chunk object with these columns in place of its own, as small as they can be packed."""

    def made(whole: bytes) -> bytes:
        table = pq.read_table(pa.BufferReader(whole))
        lines = max(len(each) for each in columns.values())
        parts = {
            name: table.column(name).combine_chunks().take([0] * lines)
            for name in table.column_names
        }
        parts["item"] = pa.array(range(lines), pa.int64())
        made = pa.table({**parts, **columns}).replace_schema_metadata(table.schema.metadata)
        sink = pa.BufferOutputStream()
        pq.write_table(made, sink, compression="zstd", store_schema=False)
        return sink.getvalue().to_pybytes()

    return made


def _times(value: bytes, lines: int) -> Any:
    return pa.DictionaryArray.from_arrays(
        pa.array([0] * lines, pa.int32()), pa.array([value], pa.binary())
    )


#: In place of the chunk of an honest job of 20 items.
CHUNKS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no Parquet": lambda _: b"PAR1" + b"\xff" * 1000 + b"PAR1",
    "half of it": lambda whole: whole[: len(whole) // 2],
    "another number": lambda whole: Chunk("other", 7, Chunk.decode(whole).items).encode(),
    "no items": lambda whole: Chunk(Chunk.decode(whole).job, 0, ()).encode(),
    "items of others": lambda whole: Chunk(
        Chunk.decode(whole).job, 0, tuple(Item(10**6 + n, "x", data=b"x") for n in range(20))
    ).encode(),
    "twenty gigabytes in sixty kilobytes": _bomb(data=_times(b"\0" * 2**20, 20_000)),
    "six terabytes": _bomb(data=_times(b"\0" * 2**26, 100_000)),
    "a gigabyte of a name": _bomb(source=_times(b"x" * 10_000_000, 100).cast(pa.string())),
}
