"""What Prometheus, an orchestrator and an autoscaler are told."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from inkmill import names
from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.web import metrics as desk_metrics
from inkmill.errors import InkmillError, UsageError
from inkmill.imagefile.sniff import Limits
from inkmill.monitor import Monitor, monitored, parse_address, render, serve
from inkmill.producer import submit
from inkmill.producer.metrics import QueueMetrics, registry
from inkmill.producer.overview import OpenJob, Overview, overview
from inkmill.producer.pace import Pace
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.jobs import Job
from inkmill.records.pointer import Pointer
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from inkmill.trainer.measure import live
from inkmill.worker import metrics
from inkmill.worker.engine.digits import DigitBatch
from inkmill.worker.engine.prepare import Recipe, prepare
from inkmill.worker.engine.stages import Stages
from inkmill.worker.link import ChunkResult
from tests.fakes import FakeCluster, png

EXAMPLES = Path(__file__).parents[2] / "examples"
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
    assert found["inkmill_messages", ("low",)] == 3
    assert found["inkmill_set_aside_total", ()] == 0
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


def test_the_age_of_the_model_is_that_of_its_promotion(cluster: FakeCluster) -> None:
    promoted = "2026-11-01T12:00:00+00:00"
    pointer = Pointer("cd" * 32, promoted=promoted)
    cluster.store.put(names.model_pointer("digits"), pointer.encode())
    found = look(cluster)["inkmill_model_promoted_timestamp_seconds", ("digits", "cd" * 32)]
    assert found == pytest.approx(datetime.fromisoformat(promoted).timestamp(), abs=1)


def test_the_stages_of_pages_and_digits_are_measured() -> None:
    form = Form.load(EXAMPLES / "forms/tally.yaml")
    page = Item(7, "tally_01.jpg", data=(EXAMPLES / "scans/forms/tally_01.jpg").read_bytes())
    stages = Stages(traced=True)
    prepare(page, page.data, Templates((form,)), Recipe(28, ()), Limits(), stages)
    times = stages.times
    assert [each.stage for each in times][-1] == "cut"
    assert {each.stage for each in times} == set(stages.seconds) == {"decode", "locate", "cut"}
    assert {each.item for each in times} == {7}
    assert all(a.began <= a.ended <= b.began for a, b in pairwise(times))

    stages = Stages(traced=True)
    table = ChunkTable.decode(
        Chunk("a", 0, tuple(Item(n, "", data=png(n)) for n in range(9))).encode()
    )
    batch = DigitBatch(table, Recipe(28, ()), Limits(), stages)
    for number in range(9):
        batch.read(number, {})
    assert [each.stage for each in stages.times] == ["decode", "cut"], "one for all the images"
    assert Stages().times == []


def test_what_engines_measured_is_counted_by_the_worker() -> None:
    def sample(name: str, **labels: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"inkmill_worker_{name}", labels) or 0.0

    names = ("stage_seconds_sum", "stage_seconds_count")
    before = [sample(name, stage="locate") for name in names]
    crops, attempts = sample("batch_crops_sum"), sample("attempts_total", attempt="more")
    one = ChunkResult(b"", 0, {}, {}, {}, stages={"locate": 1.5}, batches=(100, 28))
    metrics.count_result(Job("a", 0.0), one)
    metrics.count_attempt(9)
    after = [sample(name, stage="locate") for name in names]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1.5, 1]
    assert sample("batch_crops_sum") - crops == 128
    assert sample("attempts_total", attempt="more") - attempts == 1


def test_a_training_shows_its_last_figures() -> None:
    before = values(render(live.REGISTRY).decode())["inkmill_trainer_waited_seconds_total", ()]
    live.show(
        step=200,
        steps=1000,
        loss=0.25,
        accuracy=0.9,
        images_per_second=5e3,
        augmented_per_second=2e3,
        waited=1.5,
    )
    found = values(render(live.REGISTRY).decode())
    assert found["inkmill_trainer_loss", ()] == 0.25
    assert found["inkmill_trainer_images_per_second", ()] == 5000
    # A counter of the process: trainings of other tests have counted, too.
    assert found["inkmill_trainer_waited_seconds_total", ()] == pytest.approx(before + 1.5)


def test_requests_to_the_desk_are_counted_on_a_port_of_their_own(cluster: FakeCluster) -> None:
    def count(method: str, status: str) -> float:
        labels = {"method": method, "status": status}
        return desk_metrics.REGISTRY.get_sample_value("inkmill_desk_requests_total", labels) or 0.0

    before = count("GET", "404"), count("other", "404")
    desk = TestClient(create_app(DeskContext(cluster.connection)))
    assert desk.get("/metrics").status_code == 404
    desk.request("BREW", "/coffee")
    assert (count("GET", "404"), count("other", "404")) == (before[0] + 1, before[1] + 1)


def test_a_port_that_is_taken_does_not_end_the_process(caplog: pytest.LogCaptureFixture) -> None:
    assert serve(None, live.REGISTRY) is None
    with monitored("127.0.0.1:0", live.REGISTRY):
        pass
    first = Monitor(("127.0.0.1", 0), live.REGISTRY)
    try:
        assert serve(str(first.address[1]), live.REGISTRY) is None
    finally:
        first.close()
    assert "no metrics are served" in caplog.text
