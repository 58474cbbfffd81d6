"""Encodings of jobs, chunks and messages: what goes in comes out, and junk is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkmill import names
from inkmill.codes import Code
from inkmill.errors import BadMessage, Corrupt, UsageError
from inkmill.records import image_ref
from inkmill.records.chunks import Chunk, Item, combine
from inkmill.records.image_ref import ImageRef, JobFile, UserObject
from inkmill.records.jobs import FOLLOW, Job, Options
from inkmill.records.messages import Message

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
refs: st.SearchStrategy[ImageRef | None] = st.one_of(
    st.none(),
    st.builds(JobFile, st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
    st.builds(UserObject, st.from_regex(r"[a-z]{3}", fullmatch=True), texts),
)
items = st.builds(
    Item,
    item=st.integers(0, 2**40),
    source=texts,
    page=st.integers(1, 2000),
    data=st.binary(max_size=50),
    ref=refs,
    sha256=texts,
    code=st.none() | st.sampled_from(Code),
    message=texts,
)


@given(st.lists(items, max_size=5), st.integers(0, 10**6))
def test_a_chunk_comes_out_as_it_went_in(listed: list[Item], number: int) -> None:
    chunk = Chunk("a-job", number, tuple(listed))
    assert Chunk.decode(chunk.encode()) == chunk


def test_a_chunks_digest_is_its_content_not_its_position() -> None:
    one = Chunk("a", 0, (Item(0, "x.png", data=b"1", sha256="aa"),))
    moved = Chunk("b", 7, (Item(99, "x.png", data=b"1", sha256="aa"),))
    assert one.digest == moved.digest
    for change in ({"source": "y.png"}, {"page": 2}, {"sha256": "bb"}, {"code": Code.MISSING}):
        assert Chunk("a", 0, (replace(one.items[0], **change),)).digest != one.digest


def test_inputs_depend_on_the_order_of_chunks() -> None:
    assert combine(["a", "b"]) != combine(["b", "a"])


@pytest.mark.parametrize("data", [b"", b"junk", b"PAR1junkPAR1"])
def test_what_is_no_chunk_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="not a chunk object"):
        Chunk.decode(data)


def test_a_job_comes_out_as_it_went_in() -> None:
    job = Job("a", 12.5, Options(policy=FOLLOW, chunk_size=7), form="é", retention_days=3)
    assert Job.decode(job.encode()) == job
    sealed = job.seal([8, 8, 4], digest := "ab" * 32)
    assert (sealed.sealed, sealed.chunks, sealed.items, sealed.inputs) == (True, 3, 20, digest)
    assert Job.decode(sealed.encode()) == sealed


def test_a_sealed_record_knows_the_items_of_each_chunk() -> None:
    sizes = [8, 8, 8, 3, 0, 5, 5]
    job = Job("a", 0.0).seal(sizes, "")
    assert job.layout == ((8, 3), (3, 1), (0, 1), (5, 2))
    held = [list(job.items_of(number)) for number in range(len(sizes))]
    assert list(map(len, held)) == sizes
    assert [item for part in held for item in part] == list(range(job.items))
    assert not job.items_of(len(sizes))
    assert [job.chunk_of(item) for part in held for item in part] == [
        number for number, size in enumerate(sizes) for _ in range(size)
    ]
    assert job.chunk_of(job.items) is None


def test_identity_is_inputs_form_and_options() -> None:
    job = Job("a", 1.0, form_hash="f").seal([1], "inputs")
    assert (
        replace(job, job="b", created=2.0, version="v", retention_days=9).identity == job.identity
    )
    for other in (
        replace(job, inputs="others"),
        replace(job, form_hash="g"),
        replace(job, options=Options(chunk_size=7)),
    ):
        assert other.identity != job.identity


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema": 1, "job": "a", "odd": 1}'])
def test_what_is_no_record_is_corrupt(data: bytes) -> None:
    with pytest.raises(Corrupt, match="job record is damaged"):
        Job.decode(data)


def test_a_newer_record_asks_for_an_update() -> None:
    record = {**json.loads(Job("a", 1.0).encode()), "schema": 99}
    with pytest.raises(Corrupt, match="newer Inkmill"):
        Job.decode(json.dumps(record).encode())


def test_a_message_names_a_chunk_and_nothing_else() -> None:
    message = Message("a-job", 12)
    assert message.encode() == {"schema": 1, "job": "a-job", "chunk": 12}
    assert Message.decode(message.encode()) == message


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"schema": 1, "job": "a"},
        {"schema": 1, "job": "a", "chunk": 1, "path": "/etc/passwd"},
        {"schema": 99, "job": "a", "chunk": 1},
        {"schema": 1, "job": "../../x", "chunk": 1},
        {"schema": 1, "job": "a", "chunk": -1},
        {"schema": 1, "job": "a", "chunk": "1"},
        {"schema": 1, "job": "a", "chunk": True},
    ],
)
def test_what_is_no_message_is_refused_with_its_raw_data(fields: dict[str, object]) -> None:
    with pytest.raises(BadMessage) as refused:
        Message.decode(fields)
    assert refused.value.raw == json.dumps(fields)


@given(st.text(max_size=90))
def test_no_name_leaves_its_folder(name: str) -> None:
    try:
        key = names.chunk(name, 3)
    except UsageError:
        return
    assert key == f"jobs/{name}/chunks/00003.parquet"
    assert "/" not in name
    assert ".." not in name


def test_a_key_gives_its_number_and_job_back() -> None:
    assert names.number_of(names.chunk("a", 123456)) == 123456
    assert names.job_of(names.open_marker("a-r2")) == "a-r2"


def test_more_than_a_hundred_thousand_chunks_keep_their_number() -> None:
    assert names.number_of(names.result("a", 99999)) == 99999
    assert names.result("a", 100000).endswith("/100000.parquet")


@pytest.mark.parametrize("ref", [None, JobFile("ab" * 32), UserObject("b", "a/b c.png")])
def test_an_image_reference_comes_out_as_it_went_in(ref: ImageRef | None) -> None:
    assert image_ref.parse(image_ref.encode(ref)) == ref


@pytest.mark.parametrize("text", ["image:abc", "image:", "s3://", "s3:///key", "/etc/passwd", "x"])
def test_what_is_no_image_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an image reference"):
        image_ref.parse(text)
