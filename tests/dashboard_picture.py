"""Draws the dashboard of deploy/monitoring with the answers of a real Prometheus.

    python -m tests.dashboard_picture docs/pictures/dashboard.png

Servers, a worker and a Prometheus run here for some minutes, while jobs are read, one worker is
killed, and some entries are no messages. Panels and queries are those of grafana-dashboard.json;
the drawing is ours, since Grafana is not needed for it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib import pyplot as plt

from inkmill.backends.store import open_store
from inkmill.local.servers import Stack, free_ports
from inkmill.local.workers import LocalWorkers
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import connect, submit
from inkmill.settings import Settings
from tests.integration.images import digits
from tests.prometheus import Prometheus, panels, prometheus

_MINUTES = float(os.environ.get("MINUTES", "6"))
_STEP = 5
_BESIDE = 3


def _load(settings: Settings, workers: LocalWorkers, folder: Path) -> None:
    """Some jobs in each priority, foreign entries, and a killed worker in the middle."""
    connection, began, number = connect(settings), time.time(), 0
    while (passed := time.time() - began) < 60 * _MINUTES:
        scans = digits(folder / f"scans-{number}", 1500 if number % 3 else 4000)
        priority = ("normal", "low", "high")[number % 3]
        submit(scans, priority=priority, chunk_size=100, connection=connection)
        if number == 4:
            connection.queue.client.lpush("inkmill.normal", "junk", "junk", "junk")
            workers.processes[0].kill()
            workers.add()
        number += 1
        time.sleep(20 if passed < 45 * _MINUTES else 5)


def draw(server: Prometheus, path: Path) -> None:
    """The panels as they stand in the dashboard, over the time that there are figures of."""
    shown = panels()
    lines = -(-len(shown) // _BESIDE)
    end = time.time()
    mpl.rcParams.update({"font.size": 7, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(lines, _BESIDE, figsize=(14, 2.1 * lines), constrained_layout=True)
    for panel, axis in zip(shown, axes.flat, strict=False):
        axis.set_title(panel["title"], fontsize=8, loc="left")
        for target in panel["targets"]:
            answer = server.ask(
                "query_range",
                query=target["expr"],
                start=end - 60 * _MINUTES,
                end=end,
                step=_STEP,
            )
            for series in answer["result"]:
                _line(axis, series, target["legendFormat"])
        axis.set_ylim(bottom=0)
        if axis.lines:
            axis.set_xlim(datetime.fromtimestamp(end - 60 * _MINUTES, UTC))
            axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
            axis.legend(fontsize=6, loc="best", frameon=False)
        else:
            axis.set_xticks([])
            axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center", color="grey")
    for axis in list(axes.flat)[len(shown) :]:
        axis.axis("off")
    figure.savefig(path, dpi=100)


def _line(axis: Any, series: dict[str, Any], legend: str) -> None:
    for label, value in series["metric"].items():
        legend = legend.replace("{{" + label + "}}", value[:12])
    legend = re.sub("{{[a-z]+}}", "(none)", legend)
    times = [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]
    axis.plot(times, [float(value) for _, value in series["values"]], label=legend, linewidth=1.2)


def main(path: Path) -> None:
    """Run all of it, and write the picture."""
    of_worker, of_queue = free_ports(2)
    with tempfile.TemporaryDirectory() as place, Stack(Path(place) / "stack") as stack:
        folder = Path(place)
        settings = stack.settings.model_copy(update={"cache_dir": folder / "cache", "engines": 1})
        store = open_store(settings)
        store.create_bucket()
        Registry(store, settings.model).publish(load())
        serving = subprocess.Popen(
            [sys.executable, "-m", "inkmill.cli.main", "metrics", "--listen", str(of_queue)],
            env={**os.environ, **settings.environment()},
        )
        listening = settings.model_copy(update={"metrics_listen": f"127.0.0.1:{of_worker}"})
        try:
            targets = {"inkmill-queue": of_queue, "inkmill-workers": of_worker}
            with (
                LocalWorkers(listening, 1, folder / "worker.log") as workers,
                prometheus(folder, targets, every=f"{_STEP}s") as server,
            ):
                workers.wait_ready()
                _load(settings, workers, folder)
                draw(server, path)
        finally:
            serving.terminate()
            serving.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
