"""Records whose figures are absurd: refused where they are read, and nobody falls over them."""

from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inkmill import names
from inkmill.backends.store import MemoryStore
from inkmill.cli.damaged_records import damaged_records
from inkmill.codes import Status
from inkmill.errors import Corrupt, FormError, UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import job_ids
from inkmill.lifecycle.lost import chunk_of
from inkmill.lifecycle.marker import label_in_marker, mark_open
from inkmill.producer import cancel, delete, jobs, status, submit
from inkmill.records import chunks, columnar, rows
from inkmill.records.chunks import Chunk, Item
from inkmill.records.codec import MOST_CHUNKS, MOST_IN_CHUNK
from inkmill.records.jobs import MOST_RUNS, Job
from inkmill.records.rows import Row
from inkmill.template.form import Form
from tests.delivery import worker_of
from tests.fakes import VERSION, FakeCluster

Scans = Callable[..., Path]


JOB = "20260101-000000-0123456789abcdef"


def record(**changes: Any) -> bytes:
    sealed = json.loads(Job(JOB, 1.0, version=VERSION).seal([3, 3, 2], "").encode())
    return json.dumps({**sealed, **changes}).encode()


@contextmanager
def little_memory(most: int = 20_000_000) -> Iterator[None]:
    """What happens inside takes no more than so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


def sweep(cluster: FakeCluster) -> int:
    return reconcile.sweep(cluster.store, cluster.queue, 0.0, force=True)


ABSURD = [
    {"chunks": 10**7},
    {"chunks": 10**12},
    {"chunks": 10**12, "items": 10**15, "layout": [[1000, 10**12]]},
    {"chunks": -1},
    {"chunks": True},
    {"chunks": 3.0},
    {"chunks": "3"},
    {"chunks": None},
    {"chunks": 2},
    {"items": 7},
    {"items": 10**11 + 1},
    {"layout": []},
    {"layout": [[3, 2], [2, 2]]},
    {"layout": [[3, 2], [2, 0]]},
    {"layout": [[-2, 1], [5, 2]]},
    {"layout": [[MOST_IN_CHUNK + 1, 1]], "chunks": 1, "items": MOST_IN_CHUNK + 1},
    {"layout": [[4, 2, 1]]},
    {"layout": {"8": 1}},
    {"created": 1e300},
    {"revision": 0},
    {"retention_days": 10**9},
    {"options": {"chunk_size": 0}},
    {"options": []},
    {"more": 1},
]


@pytest.mark.parametrize("changes", ABSURD)
def test_an_absurd_record_is_refused(changes: dict[str, Any]) -> None:
    assert Job.decode(record()).items == 8
    with pytest.raises(Corrupt, match="some-key is damaged"):
        Job.decode(record(**changes), "some-key")


@pytest.mark.parametrize("changes", ABSURD[:6])
def test_an_absurd_record_is_passed_over_once_and_named(
    cluster: FakeCluster,
    scans: Scans,
    changes: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_repeats", type(reconcile._repeats)())
    key = names.job_record(JOB)
    cluster.store.put(key, record(**changes))
    mark_open(cluster.store, JOB, JOB)
    good = submit(scans(3), chunk_size=1, connection=cluster.connection)
    cluster.queue.client.flushall()
    with little_memory(), caplog.at_level(logging.WARNING):
        for _ in range(3):
            sweep(cluster)
        worker_of(cluster.settings, cluster.store, cluster.queue)
        listed = [each.job for each in jobs(connection=cluster.connection)]
    assert caplog.text.count(f"skipped open/{JOB}: Corrupt: {key} is damaged") == 1
    assert f"skipped job {JOB}" in caplog.text
    assert listed == [good]
    cluster.work()
    assert status(good, connection=cluster.connection).state == "finished"
    (named,) = damaged_records(cluster.store, "digits")
    assert named.startswith(f"{key} is damaged: ")
    delete(JOB, connection=cluster.connection)  # the remedy
    assert list(damaged_records(cluster.store, "digits")) == []


def test_a_job_of_millions_of_chunks_that_are_none_takes_no_memory(cluster: FakeCluster) -> None:
    """Nothing is wrong with the figures; the chunks are in nobody's hands."""
    many = MOST_CHUNKS
    data = record(chunks=many, items=many * 9, layout=[[9, many]])
    cluster.store.put(names.job_record(JOB), data)
    mark_open(cluster.store, JOB, JOB)
    with little_memory():
        sweep(cluster)
        sweep(cluster)
        state = status(JOB, connection=cluster.connection)
    assert (state.chunks, state.chunks_done, state.items) == (many, 0, many * 9)
    waiting = cluster.queue.waiting(JOB) + len(cluster.queue.in_flight(JOB))
    assert waiting <= reconcile._MOST_OFFERED + cluster.queue.window()


def test_a_large_job_is_offered_part_by_part(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_MOST_OFFERED", 4)
    job = submit(scans(10), chunk_size=1, connection=cluster.connection)
    cluster.queue.client.flushall()
    for _ in range(10):
        sweep(cluster)
        assert cluster.queue.waiting(job) + len(cluster.queue.in_flight(job)) <= 4
        cluster.work()
    assert status(job, connection=cluster.connection).state == "finished"
    assert sorted(cluster.worked) == [(cluster.id(job), number) for number in range(10)]


@pytest.mark.parametrize(
    "name", ["99999999.parquet", "1_0.parquet", "٣.parquet", "x", "000007.parquet", "0" * 900]
)
def test_objects_that_are_no_chunks_are_passed_over(
    cluster: FakeCluster, scans: Scans, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a job that is being uploaded, the keys say which chunks exist."""
    job = submit(scans(3), chunk_size=1, connection=cluster.connection)
    key = names.job_record(job)
    opened = json.loads(cluster.store.get(key).data)
    opened |= {"sealed": False, "chunks": 0, "items": 0, "layout": []}
    cluster.store.put(key, json.dumps(opened).encode())
    for folder in (names.chunks(job), names.results(job)):
        cluster.store.put(f"{folder}{name}", b"junk")
    cluster.store.put(f"{names.attempts(job)}{name}", b"junk")
    cluster.queue.client.flushall()
    with little_memory():
        sweep(cluster)
        assert cluster.work() == 3
        assert cancel(job, connection=cluster.connection) == 0
    state = status(job, connection=cluster.connection)
    assert (state.rows, state.chunks, state.state) == (3, 3, "cancelled")


def test_a_job_is_not_filled_up_to_a_chunk_far_away(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(3), chunk_size=1, connection=cluster.connection)
    key = names.job_record(job)
    opened = json.loads(cluster.store.get(key).data)
    opened |= {"sealed": False, "chunks": 0, "items": 0, "layout": []}
    cluster.store.put(key, json.dumps(opened).encode())
    cluster.store.put(stray := names.chunk(job, MOST_CHUNKS - 1), b"junk")
    with little_memory(), pytest.raises(Corrupt, match=stray):
        cancel(job, connection=cluster.connection)


def test_a_folder_that_is_no_job_is_passed_over(
    cluster: FakeCluster, scans: Scans, caplog: pytest.LogCaptureFixture
) -> None:
    job = submit(scans(1), connection=cluster.connection)
    for folder in ("NO JOB", "a..b", "x" * 300, "ä"):
        cluster.store.put(f"{names.JOBS}{folder}/job.json", b"{}")
    assert list(job_ids(cluster.store)) == [job]
    assert [each.job for each in jobs(connection=cluster.connection)] == [job]
    assert caplog.text.count("is not a folder of Inkmill") == 8


@pytest.mark.parametrize("count", [-1, MOST_IN_CHUNK + 1, 10**12])
def test_a_damaged_chunk_that_claims_absurd_items_makes_no_rows(count: int) -> None:
    store = MemoryStore()
    about = {"first": "0", "items": str(count), "digest": ""}
    store.put(names.chunk(JOB, 0), b"junk", metadata=about)
    with little_memory(), pytest.raises(Corrupt, match="so is the description of its items"):
        chunk_of(store, JOB, 0, Corrupt("damaged", b"junk"))


def test_a_result_with_absurd_rows_is_refused() -> None:
    import pyarrow as pa

    many = MOST_IN_CHUNK + 1
    columns = {"item": pa.chunked_array([pa.array(range(many))])}
    with pytest.raises(Corrupt, match=f"{many} lines"):
        rows.decode(rows.encode_columns(columns, many))
    for item in (-1, None, 10**18):
        with pytest.raises(Corrupt, match="a row for item"):
            rows.decode(rows.encode_columns({"item": [item], "source": ["a"]}, 1))


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", b"[" * 99_999, b'{"label": 3}', b'{"label": "../x"}', b'{"label": "a", "b": 1}'],
)
def test_a_marker_that_names_nothing_stands_for_its_job(data: bytes) -> None:
    store = MemoryStore()
    store.put(names.open_marker(JOB), data)
    assert label_in_marker(store, JOB) == JOB


@pytest.mark.parametrize("column", ["item", "sha256", "code"])
def test_a_chunk_that_lacks_a_column_is_damaged(column: str) -> None:
    """Parquet reads the columns that are there: damage to one name hides that column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = Chunk(JOB, 0, (Item(0, "a.png", data=b"x"),)).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(pq.read_table(pa.BufferReader(whole)).drop_columns([column]), sink)
    with pytest.raises(Corrupt, match=f"not a chunk object: .*{column}"):
        Chunk.decode(sink.getvalue().to_pybytes())


def bomb(what: str) -> bytes:
    """A chunk object of some kilobytes: 2,000 lines of 64 KiB each, or the like."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines, size = 2000, 2**16
    whole = pq.read_table(pa.BufferReader(Chunk(JOB, 0, (Item(0, "a", data=b"x"),)).encode()))
    columns = {
        name: whole.column(name).combine_chunks().take([0] * lines) for name in whole.schema.names
    }
    columns["item"] = pa.array(range(lines), pa.int64())
    if what == "dictionary":
        once = pa.array([b"\0" * size], pa.binary())
        columns["data"] = pa.DictionaryArray.from_arrays(pa.array([0] * lines, pa.int32()), once)
    elif what == "compressed":
        columns["data"] = pa.array([b"\0" * size] * lines, pa.binary())
    else:
        columns["data"] = pa.array([[1] * 100] * lines, pa.list_(pa.int64()))
    table = pa.table(columns).replace_schema_metadata(whole.schema.metadata)
    sink = pa.BufferOutputStream()
    # Without the Arrow schema, which would have the dictionary stay one.
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("what", ["dictionary", "compressed", "values"])
def test_a_small_object_that_is_huge_in_memory_is_damaged(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """59 kB stood for 20 GB: each worker that read the chunk was ended by the kernel."""
    import pyarrow as pa

    data = bomb(what)
    assert len(data) < 100_000
    monkeypatch.setattr(columnar, "MOST_IN_MEMORY", 2**24)
    monkeypatch.setattr(chunks, "MOST_IN_MEMORY", 2**24)
    monkeypatch.setattr(columnar, "MOST_VALUES", 100_000)
    before = pa.total_allocated_bytes()
    for decode in (Chunk.decode, rows.decode):
        with pytest.raises(Corrupt, match=r"in memory.*(in 2000 lines|are allowed)"):
            decode(data)
    assert pa.total_allocated_bytes() - before < 2**24


def test_a_table_with_a_dictionary_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """By parts where all of it might be too much, as it was written."""
    written = [Row(n, f"{n}.png", 1, Status.OK, digit=str(n % 10)) for n in range(300)]
    data = rows.encode(written)
    assert rows.decode(data) == written
    monkeypatch.setattr(columnar, "MOST_IN_MEMORY", 200_000)
    assert rows.decode(data) == written
    assert rows.decode(data, heads=True) == [replace(each, digit="") for each in written]
    assert rows.values_of(data, "digit") == set("0123456789")


def test_a_layout_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of 54 MB took 2 GB of whoever read it."""
    runs = json.dumps([[1, 1]] * (MOST_RUNS + 1)).encode()
    data = record(chunks=MOST_RUNS + 1, items=MOST_RUNS + 1).replace(b"[[3, 2], [2, 1]]", runs)
    with pytest.raises(Corrupt, match=f"at most {MOST_RUNS}"):
        Job.decode(data)
    monkeypatch.setattr("inkmill.records.jobs.MOST_RUNS", 2)
    assert Job(JOB, 1.0).seal([3, 3, 2], "").chunks == 3
    with pytest.raises(UsageError, match="submit its images as several jobs"):
        Job(JOB, 1.0).seal([3, 2, 3], "")


@pytest.mark.parametrize("line", ["- a\n", "- [a, {b: c}]\n", "- ? [a]\n", "- - - a\n"])
def test_a_template_of_too_many_entries_is_refused_before_anything_is_made_of_it(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of such lines took 25 s and 365 MB of whoever read the job's record."""

    def made(*_: object, **__: object) -> None:
        raise AssertionError("read at length")

    monkeypatch.setattr("yaml.compose", made)
    with pytest.raises(FormError, match="too many entries"):
        Form.parse("inkmill_form: 1\nfields:\n" + 500_000 * line, "bomb.yaml")
