"""What another model would change: rates by document, and samples of whole documents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inkmill import names
from inkmill.errors import NotFinished, UsageError
from inkmill.people import compare
from inkmill.records import rows
from inkmill.records.chunks import Chunk
from inkmill.records.rows import Row
from inkmill.rules import bounds
from inkmill.template.form import Form
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import cell, form, row

NUMBER = "3|type: number, unused: leading"
NEWER = "cd" * 32


@pytest.fixture
def sums() -> Form:
    """A form of two pages that must say the same."""
    return form({"a": NUMBER, "b": f"{NUMBER}, page: 2"}, "  - {equal: [a, b]}\n")


def two_pages(template: Form, documents: int) -> list[Row]:
    """Documents whose pages are files of their own, all first pages before all second ones."""
    return [
        replace(
            row(template, page * documents + n, {"a": "_12", "b": "_12"}, page=page + 1),
            document_key=f"k{n}",
            form_page=page + 1,
        )
        for page in range(2)
        for n in range(documents)
    ]


def test_the_rate_is_that_of_the_accepted_where_most_pages_have_none(cluster: FakeCluster) -> None:
    template = form({"a": NUMBER})
    doubtful = {("a", 2): cell("2", 0.6)}
    before = [row(template, n, {"a": "_12"}, doubtful if n % 4 else None) for n in range(40)]
    after = [row(template, n, {"a": "_13" if n == 8 else "_12"}, model=NEWER) for n in range(40)]
    old = finished_job(cluster, template, before, "old", chunk_size=40)
    new = finished_job(cluster, template, after, "new", chunk_size=40)
    found = compare.compare(cluster.connection, old, new)
    assert (found.pages, found.accepted, len(found.changed), found.gained) == (40, 10, 1, 30)
    assert (found.rate.errors, found.rate.trials) == (1, 10)
    assert 0.002 < found.rate.low < 0.1 < found.rate.high < 0.5


def test_pages_of_a_document_count_together(cluster: FakeCluster, sums: Form) -> None:
    before = two_pages(sums, 30)
    after = [
        replace(
            row(sums, each.item, {"a": "_13", "b": "_13"}, page=each.form_page, model=NEWER),
            document_key=each.document_key,
            form_page=each.form_page,
        )
        if each.document_key in ("k3", "k4", "k5")
        else each
        for each in before
    ]
    old = finished_job(cluster, sums, before, "old", chunk_size=60)
    new = finished_job(cluster, sums, after, "new", chunk_size=60)
    found = compare.compare(cluster.connection, old, new)
    assert (found.accepted, len(found.changed), found.doubted) == (60, 6, 0)
    apart = bounds.clustered([(1, 1)] * 6 + [(0, 1)] * 54)
    assert found.rate.rate == apart.rate
    assert found.rate.high - found.rate.low > 1.2 * (apart.high - apart.low)


def read_alike(cluster: FakeCluster, job: str, revision: str) -> list[Row]:
    """The rows of a revision whose pages are read as they were before."""
    before = {(each.source, each.page): each for each in stored(cluster, job)}
    found = []
    for number, entry in enumerate(list(cluster.store.list(names.chunks(cluster.id(revision))))):
        chunk = Chunk.decode(cluster.store.get(entry.key).data)
        made = [replace(before[each.source, each.page], item=each.item) for each in chunk.items]
        cluster.store.put(names.result(cluster.id(revision), number), rows.encode(made))
        found += made
    return found


def stored(cluster: FakeCluster, job: str) -> list[Row]:
    return [
        each
        for entry in cluster.store.list(names.results(cluster.id(job)))
        for each in rows.decode(cluster.store.get(entry.key).data)
    ]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_sample_holds_whole_documents_so_that_nothing_is_missing(
    cluster: FakeCluster, sums: Form, seed: int
) -> None:
    job = finished_job(cluster, sums, two_pages(sums, 10), chunk_size=6)
    cluster.store.put(names.model_manifest("digits", NEWER), b"{}")
    revision = compare.read_again(cluster.connection, job, NEWER, 5, seed)
    pages = read_alike(cluster, job, revision)
    keys = [each.document_key for each in pages]
    assert len(keys) == 6  # five, and the other page of the last one
    assert all(keys.count(key) == 2 for key in keys)
    found = compare.compare(cluster.connection, job, revision)
    assert (found.pages, found.accepted, found.doubted, found.changed) == (6, 6, 0, [])


def test_samples_differ_by_seed_and_are_the_same_for_one(cluster: FakeCluster) -> None:
    template = form({"a": NUMBER})
    job = finished_job(cluster, template, [row(template, n, {"a": "_12"}) for n in range(40)])
    cluster.store.put(names.model_manifest("digits", NEWER), b"{}")
    drawn = []
    for seed in (1, 1, 2):
        revision = compare.read_again(cluster.connection, job, NEWER, 8, seed)
        drawn.append(sorted(each.source for each in read_alike(cluster, job, revision)))
    assert [len(each) for each in drawn] == [8, 8, 8]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_cannot_be_compared_is_said_before_anything_is_read(cluster: FakeCluster) -> None:
    template = form({"a": NUMBER})
    job = finished_job(cluster, template, [row(template, n, {"a": "_12"}) for n in range(4)])
    cluster.store.put(names.model_manifest("digits", NEWER), b"{}")
    with pytest.raises(UsageError, match="--sample 0: draw at least one page"):
        compare.read_again(cluster.connection, job, NEWER, 0)
    cluster.store.delete([names.result(cluster.id(job), 1)])
    with pytest.raises(NotFinished, match=f"inkmill wait {job}"):
        compare.read_again(cluster.connection, job, NEWER)
    assert not list(cluster.store.list(names.job_root(f"{job}-r2")))
