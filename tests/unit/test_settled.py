"""`inkmill status` counts what `inkmill results` shows, and reads a job's rows only once for it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from inkmill import events, names, reconcile
from inkmill.cli.display import show_job
from inkmill.events import Event
from inkmill.form import Form
from inkmill.producer import JobStatus, fix, jobs, results, status, wait
from inkmill.store import MemoryStore, Stored
from tests.fakes import FakeMill
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
def mill() -> FakeMill:
    return FakeMill(CountingStore())


@pytest.fixture
def job(mill: FakeMill) -> str:
    """Two documents of two pages; the sum of the second, over both pages, is wrong."""
    template = Form.parse(TWO_PAGES)
    return finished_job(
        mill, template, [*document(template, 0, RIGHT), *document(template, 1, WRONG)]
    )


def ended(mill: FakeMill, job: str) -> JobStatus:
    """The last chunk's row is written; somebody waited."""
    reconcile.finish(mill.store, mill.queue, reconcile.load_job(mill.store, job))
    return wait(job, connection=mill.connection)


def shown(mill: FakeMill, job: str) -> Counter[str]:
    return Counter(str(each.status) for each in results(job, connection=mill.connection))


def told(state: JobStatus) -> Counter[str]:
    return Counter({name: number for name, number in state.statuses.items() if number})


def typed(mill: FakeMill, job: str, item: int, field: str, value: str) -> None:
    entry = Event(item, field, value, "", "anna", time.time())
    assert events.add(mill.store, job, [entry])


def reads(mill: FakeMill) -> int:
    assert isinstance(mill.store, CountingStore)
    return mill.store.results_read


def test_wait_and_status_count_a_sum_that_is_wrong_over_two_pages(mill: FakeMill, job: str) -> None:
    assert told(ended(mill, job)) == {"ok": 2, "review": 2}
    now = status(job, connection=mill.connection)
    assert told(now) == shown(mill, job) == {"ok": 2, "review": 2}
    assert now.codes == {"RULE_FAILED": 2}


def test_what_people_enter_counts_and_rows_are_read_once_for_it(mill: FakeMill, job: str) -> None:
    ended(mill, job)
    typed(mill, job, 2, "a", "67")
    assert told(status(job, connection=mill.connection)) == shown(mill, job) == {"ok": 4}
    before = reads(mill)
    assert told(status(job, connection=mill.connection)) == {"ok": 4}
    assert [told(each) for each in jobs(connection=mill.connection)] == [{"ok": 4}]
    assert reads(mill) == before


def test_a_large_jobs_status_reads_no_rows_and_says_what_it_counts(
    mill: FakeMill,
    job: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.modules["inkmill.producer.status"], "_FEW_ROWS", 3)
    ended(mill, job)
    typed(mill, job, 2, "a", "67")
    before = reads(mill)
    now = status(job, connection=mill.connection)
    show_job(now)
    assert reads(mill) == before
    assert not now.settled
    assert "each page by itself; `inkmill wait tally`" in capsys.readouterr().out
    assert told(ended(mill, job)) == {"ok": 4}
    show_job(status(job, connection=mill.connection))
    assert "4/0/0 (ok/review/error)\n" in capsys.readouterr().out


def test_rows_that_were_left_half_way_are_not_counted(mill: FakeMill, job: str) -> None:
    ended(mill, job)
    typed(mill, job, 2, "a", "67")
    half: Iterator[object] = results(job, connection=mill.connection)
    next(half)
    del half
    assert told(status(job, connection=mill.connection)) == {"ok": 4}


def test_a_page_read_again_counts_as_it_holds(mill: FakeMill) -> None:
    template = form({"a": NUMBER})
    job = finished_job(mill, template, [row(template, 0, {"a": "1_2"}), row(template, 1, RIGHT)])
    assert told(ended(mill, job)) == {"ok": 1, "review": 1}
    fix.keep(mill.store, job, row(template, 0, {"a": "112"}))
    assert told(status(job, connection=mill.connection)) == shown(mill, job) == {"ok": 2}


def test_where_nothing_changes_rows_nothing_is_kept(mill: FakeMill) -> None:
    template = form({"a": NUMBER})
    job = finished_job(mill, template, [row(template, 0, RIGHT)])
    assert told(ended(mill, job)) == shown(mill, job) == {"ok": 1}
    assert not list(mill.store.list(names.settled(job)))
