"""deploy/monitoring and docs/how-to/monitor.md name metrics that exist, in queries that parse."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from inkmill.desk.web import metrics as desk
from inkmill.producer.metrics import QueueMetrics
from inkmill.producer.overview import OpenJob, Overview
from inkmill.trainer.measure import live
from inkmill.worker import metrics as worker
from tests.fakes import FakeCluster

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "monitoring"
#: What a family's samples are called besides its name.
_ENDS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}

Labels = dict[str, frozenset[str]]


def families() -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """All metrics that Inkmill exports, with their labels."""
    queue = QueueMetrics(FakeCluster().connection)
    job = OpenJob("a", "a", "low", "", "digits", True, 0.0, 9, 9, 9, 1, 2.0, {"ok": 1}, {"X": 1})
    queue._last = Overview(0.0, (job,), {}, 0, True, {"low": 1})
    queue.look = lambda: queue._last  # type: ignore[method-assign,assignment,return-value]
    queue._pace.seconds_left = lambda _: 1.0  # type: ignore[method-assign,assignment]
    for family in queue.collect():
        yield family, getattr(family, "_labelnames", ())
    for registry in (worker.REGISTRY, live.REGISTRY, desk.REGISTRY):
        yield from collected(registry)


def collected(registry: CollectorRegistry) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    for collector in registry._collector_to_names:
        labels: tuple[str, ...] = getattr(collector, "_labelnames", ())
        yield from ((family, labels) for family in collector.collect())


def exported() -> Labels:
    """Name of each series -> its labels."""
    found: Labels = {}
    for family, labels in families():
        for end in _ENDS[family.type]:
            found[family.name + end] = frozenset(labels) | ({"le"} if end == "_bucket" else set())
    return found


EXPORTED = exported()


def selectors(expression: Any) -> Iterator[Any]:
    """The selectors of series in a query, wherever they stand."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for part in ("lhs", "rhs", "expr", "vector_selector", "param", "vs"):
        inner = getattr(expression, part, None)
        if inner is not None and not isinstance(inner, str | int | float):
            yield from selectors(inner)
    for each in getattr(expression, "args", None) or ():
        yield from selectors(each)


def wrong(query: str, known: Labels) -> list[str]:
    """What a query asks for that nobody exports."""
    series = list(selectors(promql_parser.parse(query)))
    assert series, query
    found = [each.name for each in series if each.name not in known]
    by = re.findall(r"by \(([^)]*)\)", query)
    asked = {label.strip() for each in by for label in each.split(",")}
    asked |= set(re.findall(r"[{,](\w+)(?:=~|!~|!=|=)", query))
    return found + sorted(asked - set().union(*(known.get(each.name, ()) for each in series)))


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def known() -> Labels:
    """Exported and recorded series."""
    recorded: Labels = {}
    for rule in rules():
        if "record" in rule:
            (labels,) = set(re.findall(r"by \(([^)]*)\)", rule["expr"]))
            recorded[rule["record"]] = frozenset(each.strip() for each in labels.split(","))
    return EXPORTED | recorded


def test_alerts_ask_for_what_is_exported() -> None:
    for rule in rules():
        assert wrong(rule["expr"], known()) == [], rule
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert rule["annotations"].keys() == {"summary", "description"}


def test_the_dashboard_asks_for_what_is_exported_and_is_the_one_that_is_written() -> None:
    made = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
    written = runpy.run_path(str(FOLDER / "dashboard.py"))["text"]()
    assert json.loads(written) == made, "run python deploy/monitoring/dashboard.py"
    panels = [each for each in made["panels"] if each["type"] != "row"]
    assert len(panels) > 15
    for panel in panels:
        for target in panel["targets"]:
            assert wrong(target["expr"], known()) == [], panel["title"]
            labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            by = re.findall(r"by \(([^)]*)\)", target["expr"])
            if by:
                assert labels <= {each.strip() for each in by[0].split(",")}, panel["title"]
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in made["panels"]}
    assert len(places) == len(made["panels"]), "no panel lies on another"


@pytest.mark.parametrize(
    "query",
    [
        "inkmill_item > 0",
        'sum(rate(inkmill_worker_items_total{colour="red"}[5m]))',
        "sum by (shape) (inkmill_chunks)",
        "inkmill_store_up == 0 or 2 * avg_over_time(inkmill_gone[1d]) > 1",
    ],
)
def test_a_query_for_what_nobody_exports_is_seen(query: str) -> None:
    assert wrong(query, EXPORTED)
    assert wrong("inkmill_items > 0", EXPORTED) == []


def test_every_metric_is_in_the_documentation_with_its_labels() -> None:
    page = (ROOT / "docs/how-to/monitor.md").read_text(encoding="utf-8")
    told: Labels = {}
    for line in page.splitlines():
        if line.startswith("| `inkmill_"):
            for name, labels in re.findall(r"`(inkmill_\w+)(?:{([\w,]+)})?`", line.split(" | ")[0]):
                told[name] = frozenset(filter(None, labels.split(",")))
    whole = {
        family.name + ("_total" if family.type == "counter" else ""): frozenset(labels)
        for family, labels in families()
    }
    assert told == whole


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool comes with Prometheus")
def test_prometheus_itself_takes_the_rules_and_they_fire() -> None:
    for words in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yml"]):
        done = subprocess.run(
            ["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
