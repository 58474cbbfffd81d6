"""A real Prometheus with the configuration of deploy/monitoring, where one is installed.

Debian and Ubuntu carry it (``apt install prometheus``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from inkmill.local.servers import free_ports

FOLDER = Path(__file__).parents[1] / "deploy" / "monitoring"
PROGRAM = shutil.which("prometheus")


class Prometheus:
    """Asks one for answers."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **words: object) -> Any:
        """The data of an answer of its HTTP API."""
        url = f"{self._root}/api/v1/{path}?{urlencode(words)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def is_ready(self) -> bool:
        try:
            return bool(self.ask("status/runtimeinfo"))
        except OSError:
            return False


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard, without the lines between them."""
    made = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return [each for each in made["panels"] if each["type"] != "row"]


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, int], every: str = "1s") -> Iterator[Prometheus]:
    """One that scrapes these ports: job of its configuration -> port on this machine."""
    assert PROGRAM is not None
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": every, "evaluation_interval": every}
    for each in config["scrape_configs"]:
        each.pop("scrape_timeout", None)
        port = targets.get(each["job_name"])
        each["static_configs"] = [{"targets": [f"127.0.0.1:{port}"] if port else []}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    shutil.copy(FOLDER / "alerts.yml", folder)
    (port,) = free_ports(1)
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *arguments], stdout=log, stderr=subprocess.STDOUT)
    try:
        made = Prometheus(port)
        while not made.is_ready():
            assert process.poll() is None, (folder / "prometheus.log").read_text()[-2000:]
            time.sleep(0.1)
        yield made
    finally:
        process.terminate()
        process.wait()
