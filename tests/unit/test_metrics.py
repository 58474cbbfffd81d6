"""What Prometheus, an orchestrator and an autoscaler are told."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inkmill import names
from inkmill.errors import InkmillError, UsageError
from inkmill.monitor import Monitor, parse_address, render
from inkmill.producer import submit
from inkmill.producer.metrics import QueueMetrics, registry
from inkmill.producer.overview import OpenJob, Overview, overview
from inkmill.producer.pace import Pace
from inkmill.worker import metrics
from tests.fakes import FakeCluster

Values = dict[tuple[str, tuple[str, ...]], float]


def values(text: str) -> Values:
    """Each sample by its name and the values of its labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def look(cluster: FakeCluster) -> Values:
    return values(render(registry(QueueMetrics(cluster.connection))).decode())


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster(window=3)


def test_the_backlog_is_what_the_store_lacks_whatever_redis_holds(
    cluster: FakeCluster, scans: Callable[..., Path]
) -> None:
    submit(scans(20), name="big", chunk_size=2, priority="low", connection=cluster.connection)
    submit(scans(1, "other"), name="one", connection=cluster.connection)
    cluster.work(2)
    found = look(cluster)
    # The window holds three of the chunks; the list in Redis would say no more.
    assert found["inkmill_chunks", ("low", "in_flight")] == 3
    assert found["inkmill_chunks", ("low", "waiting")] == 6
    assert found["inkmill_chunks", ("normal", "in_flight")] == 0
    assert found["inkmill_items", ("low",)] == 18
    assert found["inkmill_open_jobs", ("low",)] == 1
    assert found["inkmill_open_job_rows", ("", "digits", "ok")] == 2
    assert found["inkmill_oldest_job_seconds", ()] >= 0
    assert found["inkmill_redis_up", ()] == 1
    cluster.queue.client.flushall()
    found = look(cluster)
    assert found["inkmill_chunks", ("low", "waiting")] == 9
    cluster.queue.report_worker("a:1", 5)
    assert look(cluster)["inkmill_worker_slots", ()] == 5


def test_finished_and_damaged_jobs_are_no_backlog(
    cluster: FakeCluster, scans: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    submit(scans(4), name="done", connection=cluster.connection)
    cluster.work()
    submit(scans(4, "more"), name="damaged", connection=cluster.connection)
    cluster.store.put(names.job_record(cluster.id("damaged")), b"{")
    cluster.store.put(names.OPEN + "NO JOB", b"")
    assert overview(cluster.connection).jobs == ()
    assert "NO JOB" in caplog.text
    assert cluster.id("damaged") in caplog.text
    assert look(cluster)["inkmill_chunks", ("normal", "waiting")] == 0


def test_a_store_that_is_away_is_a_metric(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise InkmillError("S3 does not answer")

    monkeypatch.setattr(cluster.store, "list", away)
    assert look(cluster) == {("inkmill_store_up", ()): 0}


def test_the_time_left_follows_from_what_was_finished_lately() -> None:
    def seen(at: float, **left: int) -> Overview:
        jobs = tuple(
            OpenJob(name, name, "normal", "", "digits", True, 0.0, 100, 100, number)
            for name, number in left.items()
        )
        return Overview(at, jobs, {}, 0, True)

    pace = Pace()
    pace.add(seen(0, a=50, b=10))
    assert pace.seconds_left(seen(0, a=50, b=10)) is None
    # b is finished and a has 20 fewer: 30 chunks in 10 s. A new job is work, and no progress.
    last = seen(10, a=30, c=60)
    pace.add(last)
    assert pace.seconds_left(last) == pytest.approx(30)
    assert pace.seconds_left(seen(20)) == 0


def get(monitor: Monitor, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen("http://{}:{}{}".format(*monitor.address, path)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_probes_and_json_are_served(
    cluster: FakeCluster, scans: Callable[..., Path]
) -> None:
    submit(scans(6), name="a", chunk_size=2, connection=cluster.connection)
    queue, well = QueueMetrics(cluster.connection), metrics.Wellbeing()
    monitor = Monitor(
        ("127.0.0.1", 0),
        registry(queue),
        alive=well.alive,
        ready=well.ready,
        documents={"/backlog": queue.backlog},
    )
    try:
        assert json.loads(get(monitor, "/backlog")[1])["chunks"] == 3
        status, text = get(monitor, "/metrics?name=x")
        assert status == 200
        assert values(text)["inkmill_items", ("normal",)] == 6
        assert get(monitor, "/livez")[0] == 503
        well.came_round()
        assert get(monitor, "/livez") == (200, "ok\n")
        status, words = get(monitor, "/readyz")
        assert status == 503
        assert "has not reported to Redis" in words
        well.reported()
        assert get(monitor, "/readyz")[0] == 200
        status, words = get(monitor, "/etc/passwd")
        assert status == 404
        assert "/backlog" in words
        with pytest.raises(UsageError, match="cannot listen"):
            Monitor(monitor.address, registry(queue))
    finally:
        monitor.close()


def test_where_to_listen_is_on_the_loopback_unless_told_otherwise() -> None:
    assert parse_address("9401") == ("127.0.0.1", 9401)
    assert parse_address("0.0.0.0:9401") == ("0.0.0.0", 9401)
    assert parse_address("[::1]:9401") == ("::1", 9401)
    for wrong in ("", "host", "host:", ":x", "1:99999"):
        with pytest.raises(UsageError, match="is no address to listen on"):
            parse_address(wrong)
