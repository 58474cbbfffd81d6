"""The desk's pages of jobs: lists, counts, progress as events, results and reports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from inkmill import names, results, status, submit
from inkmill.backends import event_log
from inkmill.desk.context import DeskContext
from inkmill.desk.jobs import counting, live, pages
from inkmill.desk.people.roles import Role
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.records.events import Event
from tests.fakes import FakeCluster
from tests.unit.desk_jobs import sums_job
from tests.unit.desk_visits import Visitor, visit
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form, row
from tests.unit.test_review import GOOD, MISREAD, NUMBER, SUM


@pytest.fixture
def context(cluster: FakeCluster) -> DeskContext:
    return DeskContext(cluster.connection)


@pytest.fixture
def supervisor(context: DeskContext) -> Visitor:
    return visit(context, Role.SUPERVISOR)


def test_the_list_shows_jobs_workers_and_the_queue(
    cluster: FakeCluster, context: DeskContext, scans: Callable[..., Path]
) -> None:
    submit(scans(3), name="new", connection=cluster.connection)
    supervisor = visit(context, Role.SUPERVISOR)
    page = supervisor.get("/jobs").text
    assert "No worker runs" in page
    assert re.search(r"Chunks to read</dt><dd>1<", page)
    job = cluster.id("new")
    assert f'href="/jobs/{job}"' in page  # /jobs/new is the form for another job
    assert "0 of 3" in page
    assert supervisor.get(f"/jobs/{job}").status_code == 200
    assert supervisor.get("/jobs/no-such-job").status_code == 404
    assert supervisor.get("/jobs/NOT A NAME").status_code == 400


def test_counts_follow_what_people_enter_and_nobody_waits_for_them(
    cluster: FakeCluster, context: DeskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = threading.Event()

    def slowly(*given: Any, **named: Any) -> Any:
        assert shown.wait(60)
        return results(*given, **named)

    monkeypatch.setattr(counting, "results", slowly)
    job, _ = sums_job(cluster, pages=2, good=1)
    reconcile.finish(cluster.store, cluster.queue, load_job(cluster.store, job))
    event_log.add(cluster.store, job, [Event(0, "a", "67", "61", "anna", 1.0)])
    supervisor = visit(context, Role.SUPERVISOR)

    def in_review(page: str) -> str:
        (found,) = re.findall(r'status=review">review</a></th><td class="number">(\d+)<', page)
        return str(found)

    first = supervisor.get(f"/jobs/{job}").text
    assert in_review(first) == "2"
    assert "do not yet include values entered by people" in first
    shown.set()
    end = time.monotonic() + 30
    while "do not yet include" in (page := supervisor.get(f"/jobs/{job}").text):
        assert time.monotonic() < end
    assert in_review(page) == "1"
    monkeypatch.setattr(pages, "results", None)  # the rows are known from counting them
    rows = supervisor.get(f"/jobs/{job}/rows?status=review").text
    assert "scan_0001" in rows
    assert "scan_0000" not in rows


def test_progress_comes_as_events_until_the_session_is_over(
    cluster: FakeCluster, context: DeskContext, scans: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(live, "_LOOK_SECONDS", 0.01)
    supervisor = visit(context, Role.SUPERVISOR)
    token = supervisor.cookies["inkmill_desk"]
    drawn = iter(["one", "one", "two"])

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    def draw() -> str:
        try:
            return next(drawn)
        except StopIteration:
            context.sessions.end(token)
            return "two"

    scope = {
        "type": "http",
        "app": supervisor.app,
        "headers": [(b"cookie", f"inkmill_desk={token}".encode())],
    }

    async def collect() -> list[Any]:
        events = live.events(Request(scope, receive), draw)
        return [json.loads(each[6:]) async for each in events if each.startswith("data: ")]

    assert asyncio.run(collect()) == [{"html": "one"}, {"html": "two"}, {"over": True}]


def test_what_redis_lost_is_sent_again(
    cluster: FakeCluster, supervisor: Visitor, scans: Callable[..., Path]
) -> None:
    submit(scans(3), name="lost", connection=cluster.connection)
    cluster.queue.client.flushall()

    def act(action: str) -> str:
        sent = {"csrf": supervisor.csrf, "action": action}
        return str(supervisor.post("/jobs/lost", data=sent).text)

    assert cluster.work() == 0
    assert "1 chunks have no rows yet; those that were lost were sent again" in act("resume")
    assert cluster.work() == 1
    assert "there was nothing to do" in act("resume")
    assert "Nothing was given up in this job" in act("retry")
    assert "There is no action" in act("explode")


def test_stopping_a_job_wants_its_name_typed(
    cluster: FakeCluster, context: DeskContext, scans: Callable[..., Path], supervisor: Visitor
) -> None:
    submit(scans(3), name="wrong", connection=cluster.connection)
    act = {"csrf": supervisor.csrf, "action": "cancel"}
    assert supervisor.post("/jobs/wrong", data=act).status_code == 400
    page = supervisor.post("/jobs/wrong", data={**act, "sure": "wrong"})
    assert "3 rows have the code CANCELLED" in page.text
    assert status("wrong", connection=cluster.connection).state == "cancelled"
    keep = {**act, "action": "delete", "sure": "wrong", "keep_values": "on"}
    assert "its values stay" in supervisor.post("/jobs/wrong", data=keep).text
    del keep["keep_values"]
    assert "Job wrong is deleted" in supervisor.post("/jobs/wrong", data=keep).text
    assert supervisor.get("/jobs/wrong").status_code == 404
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert "delete" in [deed.action for deed in context.trail.of_day(day, 100)]
    assert list(context.store.list(names.JOBS)) == []


def test_results_in_every_format_for_supervisors_only(
    cluster: FakeCluster, context: DeskContext, supervisor: Visitor
) -> None:
    tally = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    job = finished_job(cluster, tally, [row(tally, 0, GOOD), row(tally, 1, MISREAD)])
    for kind, start in (("csv", b"item,"), ("jsonl", b"{"), ("parquet", b"PAR1"), ("xlsx", b"PK")):
        answer = supervisor.get(f"/jobs/{job}/results?format={kind}")
        assert answer.content.startswith(start), kind
        assert f'filename="{job}.{kind}"' in answer.headers["content-disposition"]
    table = supervisor.get(f"/jobs/{job}/results?format=csv&long=on&excel=on").content
    assert table.startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert {line["field"] for line in lines} == {"a", "b", "total"}
    assert "key" in supervisor.get(f"/jobs/{job}/documents").text
    assert supervisor.get(f"/jobs/{job}/results?format=doc").status_code == 400
    keyer = visit(context, Role.KEYER)
    assert keyer.get(f"/jobs/{job}").status_code == 200
    assert "Download" not in keyer.get(f"/jobs/{job}").text
    for path in (f"/jobs/{job}/results", f"/jobs/{job}/report", "/jobs/new"):
        assert keyer.get(path).status_code == 403
    told = [(deed.action, deed.person) for deed in context.trail.of_job(cluster.id(job), 100)]
    assert told.count(("export", "supervisor")) == 6
    assert told.count(("view", "keyer")) == 1


def test_a_report_is_shown_under_its_own_policy(
    cluster: FakeCluster, context: DeskContext, supervisor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.desk.jobs import exports
    from inkmill.forms.cut.recut import cut_again
    from inkmill.people.report import figures

    tally = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    job = finished_job(cluster, tally, [row(tally, 0, GOOD)])
    reconcile.finish(cluster.store, cluster.queue, load_job(cluster.store, job))
    assert supervisor.get(f"/jobs/{job}/report").status_code == 404

    def run(command: list[str], _: DeskContext) -> str:
        assert command[:2] == ["report", cluster.id(job)]
        figures.write(figures.gather(cluster.connection, job, cut_again), Path(command[-1]))
        return ""

    monkeypatch.setattr(exports, "_run", run)
    supervisor.post(f"/jobs/{job}/report", data={"csrf": supervisor.csrf})
    until = time.monotonic() + 30
    while exports.report_state(context, context.connection.jobs.get(job)).making:
        assert time.monotonic() < until
        time.sleep(0.02)
    answer = supervisor.get(f"/jobs/{job}/report")
    assert "<svg" in answer.text
    assert "sha256-" in answer.headers["content-security-policy"]
    monkeypatch.setattr(exports, "_run", lambda *_: "opencv is not installed")
    supervisor.post(f"/jobs/{job}/report", data={"csrf": supervisor.csrf})
    until = time.monotonic() + 30
    while not exports.report_state(context, context.connection.jobs.get(job)).problem:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert "opencv is not installed" in supervisor.get(f"/jobs/{job}").text
