"""`inkmill status` counts what `inkmill results` shows, and reads a job's rows only once for it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from inkmill import names
from inkmill.backends import event_log
from inkmill.backends.store import MemoryStore, Stored
from inkmill.cli.display import show_job
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.producer import JobStatus, jobs, results, status, wait
from inkmill.producer.tables import fixes
from inkmill.records.events import Event
from inkmill.template.form import Form
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form, row
from tests.unit.test_settle import NUMBER, RIGHT, TWO_PAGES, WRONG, document


class CountingStore(MemoryStore):
    """Counts the result objects that are read."""

    results_read = 0

    def get(self, key: str) -> Stored:
        self.results_read += "/results/" in key
        return super().get(key)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(CountingStore())


@pytest.fixture
def job(cluster: FakeCluster) -> str:
    """Two documents of two pages; the sum of the second, over both pages, is wrong."""
    template = Form.parse(TWO_PAGES)
    return finished_job(
        cluster, template, [*document(template, 0, RIGHT), *document(template, 1, WRONG)]
    )


def ended(cluster: FakeCluster, job: str) -> JobStatus:
    """The last chunk's row is written; somebody waited."""
    reconcile.finish(cluster.store, cluster.queue, load_job(cluster.store, job))
    return wait(job, connection=cluster.connection)


def shown(cluster: FakeCluster, job: str) -> Counter[str]:
    return Counter(str(each.status) for each in results(job, connection=cluster.connection))


def told(state: JobStatus) -> Counter[str]:
    return Counter({name: number for name, number in state.statuses.items() if number})


def typed(cluster: FakeCluster, job: str, item: int, field: str, value: str) -> None:
    entry = Event(item, field, value, "", "anna", time.time())
    assert event_log.add(cluster.store, job, [entry])


def reads(cluster: FakeCluster) -> int:
    assert isinstance(cluster.store, CountingStore)
    return cluster.store.results_read


def test_wait_and_status_count_a_sum_that_is_wrong_over_two_pages(
    cluster: FakeCluster, job: str
) -> None:
    assert told(ended(cluster, job)) == {"ok": 2, "review": 2}
    now = status(job, connection=cluster.connection)
    assert told(now) == shown(cluster, job) == {"ok": 2, "review": 2}
    assert now.codes == {"RULE_FAILED": 2}


def test_what_people_enter_counts_and_rows_are_read_once_for_it(
    cluster: FakeCluster, job: str
) -> None:
    ended(cluster, job)
    typed(cluster, job, 2, "a", "67")
    assert told(status(job, connection=cluster.connection)) == shown(cluster, job) == {"ok": 4}
    before = reads(cluster)
    assert told(status(job, connection=cluster.connection)) == {"ok": 4}
    assert [told(each) for each in jobs(connection=cluster.connection)] == [{"ok": 4}]
    assert reads(cluster) == before


def test_a_large_jobs_status_reads_no_rows_and_says_what_it_counts(
    cluster: FakeCluster,
    job: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.modules["inkmill.producer.status"], "FEW_ROWS", 3)
    ended(cluster, job)
    typed(cluster, job, 2, "a", "67")
    before = reads(cluster)
    now = status(job, connection=cluster.connection)
    show_job(now)
    assert reads(cluster) == before
    assert not now.settled
    assert "of single pages; `inkmill wait tally`" in capsys.readouterr().out
    assert told(ended(cluster, job)) == {"ok": 4}
    show_job(status(job, connection=cluster.connection))
    assert "4/0/0 (ok/review/error)\n" in capsys.readouterr().out


def test_rows_that_were_left_half_way_are_not_counted(cluster: FakeCluster, job: str) -> None:
    ended(cluster, job)
    typed(cluster, job, 2, "a", "67")
    half: Iterator[object] = results(job, connection=cluster.connection)
    next(half)
    del half
    assert told(status(job, connection=cluster.connection)) == {"ok": 4}


def test_a_page_read_again_counts_as_it_holds(cluster: FakeCluster) -> None:
    template = form({"a": NUMBER})
    job = finished_job(cluster, template, [row(template, 0, {"a": "1_2"}), row(template, 1, RIGHT)])
    assert told(ended(cluster, job)) == {"ok": 1, "review": 1}
    fixes.keep(cluster.store, job, row(template, 0, {"a": "112"}))
    assert told(status(job, connection=cluster.connection)) == shown(cluster, job) == {"ok": 2}


def test_where_nothing_changes_rows_nothing_is_kept(cluster: FakeCluster) -> None:
    template = form({"a": NUMBER})
    job = finished_job(cluster, template, [row(template, 0, RIGHT)])
    assert told(ended(cluster, job)) == shown(cluster, job) == {"ok": 1}
    assert not list(cluster.store.list(names.settled(job)))
