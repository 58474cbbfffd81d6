"""What a record says is bounded and checked where it is read, and again where it is written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import pytest

from inkmill.errors import Corrupt, Newer, UsageError
from inkmill.records import codec
from inkmill.records.codec import ChunkCount, Digest, Length, Timestamp, Within, one_of
from inkmill.records.jobs import Job
from inkmill.records.summary import Summary


@dataclass(frozen=True, slots=True)
class Inner:
    colour: Annotated[str, one_of(("red", "green"))] = "red"


@dataclass(frozen=True, slots=True)
class Sample:
    count: ChunkCount = 0
    when: Timestamp = 0.0
    digest: Digest = "0" * 64
    parts: Annotated[tuple[Inner, ...], Length(0, 2)] = ()
    sizes: Annotated[dict[str, int], Length(0, 2)] = field(default_factory=dict)
    schema: Annotated[int, Within(1, 3)] = 3


def read(record: dict[str, Any] | str) -> Sample:
    data = record if isinstance(record, str) else json.dumps(record)
    return codec.decode(Sample, data, "a/sample.json", schema=3)


def test_a_record_comes_out_as_it_went_in() -> None:
    sample = Sample(3, 1.5, "ab" * 32, (Inner("green"), Inner()), {"x": 1})
    assert codec.decode(Sample, codec.encode(sample, "sample"), "sample", schema=3) == sample


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"count": -1}, "count: .*greater than or equal to 0, not -1"),
        ({"count": 10**15}, "count: .*less than or equal to 10000000"),
        ({"count": 10**40}, "count"),
        ({"count": True}, "count: .*valid integer"),
        ({"count": 1.0}, "count: .*valid integer"),
        ({"count": "1"}, "count: .*valid integer, not '1'"),
        ({"when": -1}, "when"),
        ({"digest": "AB" * 32}, "digest"),
        ({"digest": "ab" * 32 + "\n"}, "digest"),
        ({"parts": [{}, {}, {}]}, "parts: .*at most 2"),
        ({"parts": [{}, {"colour": "blue"}]}, r"parts\.1\.colour: .*not 'blue'"),
        ({"parts": [{"colours": 1}]}, r"parts\.0\.colours: unknown field"),
        ({"sizes": {"a": 1, "b": 2, "c": 3}}, "sizes: .*at most 2"),
        ({"more": 1}, "more: unknown field"),
        ({"digest": "x" * 1000}, "not 'x{59}…$"),
        ("[]", "object"),
        ("", "JSON"),
        ('{"when": NaN}', "when"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_what_does_not_fit_is_refused_by_object_and_field(
    record: dict[str, Any] | str, said: str
) -> None:
    with pytest.raises(Corrupt, match=rf"^a/sample\.json is damaged: .*{said}") as refused:
        read(record)
    assert not isinstance(refused.value, Newer)


def test_a_newer_record_is_newer_whatever_else_it_holds() -> None:
    with pytest.raises(Newer, match=r"a/sample\.json was written by a newer Inkmill \(schema 4"):
        read({"schema": 4, "count": "many", "more": []})


def test_a_record_that_could_not_be_read_is_not_written() -> None:
    with pytest.raises(UsageError, match=r"the sample cannot be stored: parts\.0\.colour"):
        codec.encode(Sample(parts=(Inner("blue"),)), "the sample")
    with pytest.raises(UsageError, match="cannot be stored"):
        codec.encode(Sample(sizes={"\ud800": 1}), "the sample")


def test_an_absurd_number_of_chunks_is_no_job() -> None:
    record = json.loads(replace(Job("a", 1.0), sealed=True).encode())
    with pytest.raises(Corrupt, match=r"^jobs/a/job\.json is damaged: chunks"):
        Job.decode(json.dumps({**record, "chunks": 10**12}).encode(), "jobs/a/job.json")


def test_a_summary_travels_as_an_object_and_as_metadata() -> None:
    summary = Summary("a", 1.5, 2, 7, {"ok": 6, "error": 1}, {"EMPTY_FILE": 1})
    assert Summary.decode(summary.encode(), "s") == summary
    assert Summary.from_metadata({**summary.as_metadata(), "other": "x"}, "s") == summary
    assert Summary.from_metadata({"other": "x"}, "s") is None
    with pytest.raises(Corrupt, match=r"^s is damaged: statuses\.ok"):
        Summary.decode(json.dumps({**asdict(summary), "statuses": {"ok": -6}}), "s")
