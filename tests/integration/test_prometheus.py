"""A real Prometheus scrapes a real cluster: rules load, and the dashboard has answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill.local.servers import free_ports
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import connect, submit, wait
from inkmill.settings import Settings
from tests.faults.checker import until
from tests.integration.images import digits
from tests.prometheus import PROGRAM, panels, prometheus

#: Queries that have answers in every cluster that has read something.
_ANSWERED = 10


@pytest.mark.skipif(PROGRAM is None, reason="no Prometheus: apt install prometheus")
def test_the_dashboard_has_answers_and_no_alert_fires(
    settings: Settings, start_workers: Callable[..., object], tmp_path: Path
) -> None:
    connection = connect(settings)
    Registry(connection.store, settings.model).publish(load())
    of_worker, of_queue = free_ports(2)
    start_workers(1, metrics_listen=f"127.0.0.1:{of_worker}")
    serving = subprocess.Popen(
        [sys.executable, "-m", "inkmill.cli.main", "metrics", "--listen", f"127.0.0.1:{of_queue}"],
        env={**os.environ, **settings.environment()},
    )
    targets = {"inkmill-queue": of_queue, "inkmill-workers": of_worker}
    try:
        with prometheus(tmp_path, targets) as server:
            wait(submit(digits(tmp_path / "scans", 60), connection=connection), settings=settings)
            both = "count(up == 1) == 2"
            until(lambda: server.ask("query", query=both)["result"], 30, "both are scraped")

            def answered() -> int:
                expressions = [each["expr"] for panel in panels() for each in panel["targets"]]
                return sum(bool(server.ask("query", query=e)["result"]) for e in expressions)

            until(lambda: answered() >= _ANSWERED, 30, "panels have answers")
            groups = server.ask("rules")["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            assert len(rules) > 10
            assert [rule["name"] for rule in rules if rule["health"] == "err"] == []
            assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []
    finally:
        serving.terminate()
        serving.wait()
