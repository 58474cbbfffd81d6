"""Writes grafana-dashboard.json, in which each panel would be forty lines: python dashboard.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("grafana-dashboard.json")
#: Panels side by side; Grafana's grid has 24 columns.
_BESIDE, _COLUMNS, _HEIGHT = 3, 24, 8

_ITEMS = "inkmill_worker_items_total"
#: Rows of panels: title, and the panels as title, unit, and queries by their legend.
ROWS: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "Queue": [
        (
            "Backlog",
            "short",
            {"{{priority}}, {{state}}": "sum by (priority, state) (inkmill_chunks)"},
        ),
        ("Items left", "short", {"{{priority}}": "sum by (priority) (inkmill_items)"}),
        ("Time until all is done", "s", {"at the last rate": "inkmill_drain_seconds"}),
        (
            "Ages",
            "s",
            {"oldest job": "inkmill_oldest_job_seconds", "chunk": "inkmill_oldest_chunk_seconds"},
        ),
        ("Workers", "short", {"workers": "inkmill_workers", "slots": "inkmill_worker_slots"}),
        (
            "Servers",
            "bool_on_off",
            {"store": "inkmill_store_up", "Redis": "inkmill_redis_up"},
        ),
    ],
    "Reading": [
        (
            "Items per second",
            "short",
            {"{{status}}": f"sum by (status) (rate({_ITEMS}[5m]))"},
        ),
        (
            "Review rate by form and model",
            "percentunit",
            {"{{form}}, {{model}}": "inkmill:review_ratio:rate1h"},
        ),
        ("Codes", "short", {"{{code}}": "sum by (code) (rate(inkmill_worker_codes_total[5m]))"}),
        (
            "Seconds of a chunk by stage",
            "s",
            {
                "{{stage}}": "sum by (stage) (rate(inkmill_worker_stage_seconds_sum[5m])) / "
                "sum by (stage) (rate(inkmill_worker_stage_seconds_count[5m]))"
            },
        ),
        (
            "Chunk from message to rows",
            "s",
            {
                share: f"histogram_quantile({share}, sum by (le) "
                "(rate(inkmill_worker_chunk_seconds_bucket[5m])))"
                for share in ("0.5", "0.95")
            },
        ),
        (
            "Crops in a batch",
            "short",
            {
                "mean": "sum(rate(inkmill_worker_batch_crops_sum[5m])) / "
                "sum(rate(inkmill_worker_batch_crops_count[5m]))"
            },
        ),
    ],
    "Trouble": [
        (
            "Repeated attempts",
            "short",
            {"attempt {{attempt}}": 'increase(inkmill_worker_attempts_total{attempt!="1"}[15m])'},
        ),
        (
            "Engines that died, suspected chunks",
            "short",
            {
                "engines": "sum(increase(inkmill_worker_engine_restarts_total[15m]))",
                "chunks": "sum(increase(inkmill_worker_suspected_chunks_total[15m]))",
            },
        ),
        (
            "Requests that were repeated",
            "reqps",
            {
                "{{server}} {{error}}": "sum by (server, error) "
                "(rate(inkmill_worker_waits_total[5m]))"
            },
        ),
        (
            "Age of the latest model",
            "s",
            {"{{model}}": "time() - inkmill_model_promoted_timestamp_seconds"},
        ),
        ("Set aside", "short", {"entries": "inkmill_set_aside_entries"}),
        (
            "Housekeeping that failed",
            "short",
            {"{{task}}": "sum by (task) (increase(inkmill_worker_housekeeping_errors_total[15m]))"},
        ),
    ],
    "People and training": [
        (
            "Fields keyed per minute",
            "short",
            {"{{kind}}": "60 * sum by (kind) (rate(inkmill_desk_keyed_fields_total[5m]))"},
        ),
        (
            "Requests to the desk",
            "reqps",
            {"{{status}}": "sum by (status) (rate(inkmill_desk_requests_total[5m]))"},
        ),
        (
            "Training",
            "short",
            {"loss": "inkmill_trainer_loss", "accuracy": "inkmill_trainer_accuracy"},
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it; it asks for the Prometheus data source."""
    panels: list[dict[str, Any]] = []
    top = 0
    for row, shown in ROWS.items():
        panels.append(_panel(len(panels), "row", row, 0, top, _COLUMNS, 1))
        for number, (title, unit, queries) in enumerate(shown):
            line, place = divmod(number, _BESIDE)
            width = _COLUMNS // _BESIDE
            panel = _panel(
                len(panels),
                "timeseries",
                title,
                place * width,
                top + 1 + line * _HEIGHT,
                width,
                _HEIGHT,
            )
            panel["datasource"] = {"type": "prometheus", "uid": "${source}"}
            panel["fieldConfig"] = {"defaults": {"unit": unit, "min": 0}, "overrides": []}
            panel["targets"] = [
                {"refId": chr(ord("A") + each), "expr": expression, "legendFormat": legend}
                for each, (legend, expression) in enumerate(queries.items())
            ]
            panels.append(panel)
        top += 1 + -(-len(shown) // _BESIDE) * _HEIGHT
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "title": "Inkmill",
        "uid": "inkmill",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }


def _panel(
    number: int, kind: str, title: str, x: int, y: int, width: int, height: int
) -> dict[str, Any]:
    place = {"x": x, "y": y, "w": width, "h": height}
    return {"id": number + 1, "type": kind, "title": title, "gridPos": place}


def text() -> str:
    """The file's contents."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
