"""A page followed from submit to its row: a real engine, a real pipeline, an exporter in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import results, submit
from inkmill.producer.submission import submit as submitting
from inkmill.traces import Traces
from inkmill.worker.chunk import context as contexts
from inkmill.worker.chunk.context import Context
from inkmill.worker.chunk.run import run
from inkmill.worker.pool import EnginePool
from tests.fakes import FakeCluster

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_page_is_followed_from_submit_to_its_row(cache_folder: Path) -> None:
    exporter = InMemorySpanExporter()
    traces = Traces(exporter, at_once=True)
    cluster = FakeCluster(cache_dir=cache_folder)
    Registry(cluster.store, "digits").publish(load())
    pool = EnginePool(cluster.settings, 1, 1)
    with (
        mock.patch.object(submitting, "traces_of", return_value=traces),
        mock.patch.object(contexts, "traces_of", return_value=traces),
    ):
        worker = Context.of(cluster.settings, cluster.store, cluster.queue, pool)
        paths = [EXAMPLES / f"scans/forms/tally_0{number}.jpg" for number in (1, 2)]
        form = EXAMPLES / "forms/tally.yaml"
        job = submit(paths, form=form, chunk_size=1, connection=cluster.connection)
        try:
            pool.wait_ready(300)
            while (message := cluster.queue.take()) is not None:
                run(worker, message)
        finally:
            pool.stop()
    rows = {row.source: row for row in results(job, connection=cluster.connection)}
    wanted = rows[str(paths[1])] if str(paths[1]) in rows else sorted(rows.items())[1][1]
    # The library declares times, parents and attributes as optional; finished spans have them.
    spans: list[Any] = [*exporter.get_finished_spans()]
    assert len({span.context.trace_id for span in spans}) == 1
    (root,) = [span for span in spans if span.parent is None]
    assert (root.name, root.attributes["inkmill.job"]) == ("submit", job)
    chunks = [span for span in spans if span.name == "chunk"]
    assert {span.parent.span_id for span in chunks} == {root.context.span_id}
    # The page's own stages lead to its chunk, and that to the submit.
    mine = [span for span in spans if span.attributes.get("inkmill.item") == wanted.item]
    assert {span.name for span in mine} == {"decode", "locate", "cut"}
    (chunk,) = [s for s in chunks if s.context.span_id == mine[0].parent.span_id]
    stages = sorted(
        (s for s in spans if s.parent and s.parent.span_id == chunk.context.span_id),
        key=lambda span: span.start_time,
    )
    names = list(dict.fromkeys(span.name for span in stages))
    assert names == ["wait", "fetch", "decode", "locate", "cut", "predict", "rules", "write"]
    assert all(chunk.start_time <= s.start_time <= s.end_time <= chunk.end_time for s in stages)
    assert root.start_time <= chunk.start_time
