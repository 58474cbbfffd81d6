"""Traces without an engine: whose they are, which jobs have one, and that none cost nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from inkmill import traces as tracing
from inkmill.errors import SettingsError
from inkmill.producer import submit
from inkmill.producer.submission import submit as submitting
from inkmill.settings import Settings
from inkmill.traces import Traces, traces_of
from tests.fakes import FakeCluster
from tests.unit.test_imports import loaded_by

Scans = Callable[..., Path]


def test_two_processes_agree_on_the_trace_of_a_job_without_a_word() -> None:
    exporter = InMemorySpanExporter()
    producer, worker = (Traces(exporter, at_once=True) for _ in range(2))
    worker.span("a", "chunk", 5, 9, {})
    producer.root("a", "submit", 1, 4, {})
    producer.root("b", "submit", 1, 4, {})
    chunk, root, other = exporter.get_finished_spans()
    assert chunk.context.trace_id == root.context.trace_id != other.context.trace_id
    assert chunk.parent is not None
    assert chunk.parent.span_id == root.context.span_id
    assert (root.parent, root.start_time, root.end_time) == (None, 1, 4)


def test_a_share_of_jobs_is_traced_and_the_same_everywhere() -> None:
    jobs = [f"job-{number}" for number in range(2000)]
    few, many = (Traces(InMemorySpanExporter(), share) for share in (0.1, 0.5))
    mine = {job for job in jobs if few.traces(job)}
    assert 140 < len(mine) < 260
    assert mine < {job for job in jobs if many.traces(job)}
    assert not any(map(Traces(InMemorySpanExporter(), 0.0).traces, jobs))
    assert all(map(Traces(InMemorySpanExporter(), 1.0).traces, jobs))


def test_the_root_links_to_the_callers_own_span(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    made = Traces(exporter, at_once=True)
    monkeypatch.setattr(submitting, "traces_of", lambda _: made)
    cluster = FakeCluster()
    with TracerProvider().get_tracer("theirs").start_as_current_span("theirs") as theirs:
        job = submit(scans(1), connection=cluster.connection)
        submit(scans(2), name="named", connection=cluster.connection)
    first, second = exporter.get_finished_spans()
    assert first.attributes == {"inkmill.job": job}
    assert second.attributes == {"inkmill.job": cluster.id("named")}
    assert [link.context for link in first.links] == [theirs.get_span_context()]
    assert first.context.trace_id != theirs.get_span_context().trace_id
    assert not trace.get_current_span().get_span_context().is_valid


def test_without_the_setting_nothing_is_made_or_loaded() -> None:
    assert traces_of(Settings()) is None
    loaded = loaded_by("import inkmill.worker.app, inkmill.producer.submission.submit")
    # redis-py looks for the metrics of OpenTelemetry by itself.
    assert not [each for each in loaded if each.startswith("opentelemetry.exporter")]
    assert "opentelemetry.sdk.trace.export" not in loaded


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tracing._made.cache_clear()
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"pip install 'inkmill\[traces\]'"):
        traces_of(Settings(traces_endpoint="http://127.0.0.1:1"))
