"""Scripted keyers: they sign in over HTTP and work through a job's tasks as the page does.

A keyer has the addresses of several desk servers, and goes on at another when one does not answer:
what was on its way is sent again, as `desk/static/review/work.js` does.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx2 as httpx

from inkmill.local.servers import free_ports
from inkmill.settings import Settings
from tests.unit.desk_visits import PASSWORD

Place = tuple[int, str]
#: What is written in a field, by item and name.
Truth = Callable[[int, str], str]


class Server:
    """A desk server in a process of its own."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self.port = free_ports(1)[0]
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inkmill", "desk", "--port", str(self.port)],
                env=self._settings.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if httpx.get(f"{self.address}/livez").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the desk did not start: {self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@dataclass
class Keyer:
    """A person who works until nothing is left.

    ``typed`` counts how often each field was confirmed or typed, ``late`` are those that somebody
    else had settled, ``keys`` the keystrokes, ``waits`` the seconds of each request. ``pause`` is
    called before each field or screen.
    """

    name: str
    addresses: Sequence[str]
    job: str
    truth: Truth
    kinds: Sequence[str] = ("group", "key")
    pause: Callable[[], None] = lambda: None
    typed: Counter[Place] = field(default_factory=Counter)
    late: list[Place] = field(default_factory=list)
    keys: int = 0
    screens: int = 0
    fields: int = 0
    waits: list[float] = field(default_factory=list)
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        self._clients: dict[str, tuple[httpx.Client, str]] = {}
        self._turn = 0

    def run(self) -> None:
        """Work until no task is left; an error is kept in ``problem``."""
        try:
            while (task := self._send("next", kinds=list(self.kinds)))["task"]:
                (self._group if task["kind"] == "group" else self._key)(task)
        except BaseException as error:
            self.problem = error
        finally:
            for client, _ in self._clients.values():
                client.close()

    def _group(self, task: Mapping[str, Any]) -> None:
        self.pause()
        self.screens += 1
        cells = []
        for at, each in enumerate(task["fields"]):
            place = each["item"], each["field"]
            self.typed[place] += 1
            right, shown = self.truth(*place), each["shown"]
            wrong = [n for n in range(len(shown)) if right != shown]
            digit = right[-1] if wrong else ""
            # To the odd cell by arrows over a grid of eleven, then its digit.
            self.keys += at % 11 // 2 + 1 if digit else 0
            cells.append({"item": place[0], "field": place[1], "digit": digit})
        self.keys += 1
        answer = self._send("confirm", task=task["task"], cells=cells)
        if answer["late"]:
            self.late += [(each["item"], each["field"]) for each in cells]

    def _key(self, task: Mapping[str, Any]) -> None:
        waiting = [(each["item"], each["field"]) for each in task["fields"]]
        proposed = {(each["item"], each["field"]): each["proposed"] for each in task["fields"]}
        shown = {(each["item"], each["field"]): each["shown"] for each in task["fields"]}
        while waiting:
            # As the page does: first what the rules propose to change.
            place = next((each for each in waiting if proposed[each] != shown[each]), waiting[0])
            self.pause()
            self.fields += 1
            self.typed[place] += 1
            right = self.truth(*place)
            self.keys += 1 if right == proposed[place] else len(right) + 1
            answer = self._send(
                "answer", task=task["task"], item=place[0], field=place[1], text=right or "_"
            )
            if answer["late"]:
                self.late.append(place)
                return
            left = {(item, name) for item, name in answer["left"]}
            waiting = [each for each in waiting if each in left]

    def _send(self, path: str, **body: Any) -> Any:
        end = time.monotonic() + 120
        while True:
            address = self.addresses[self._turn % len(self.addresses)]
            began = time.monotonic()
            try:
                client, token = self._client(address)
                answer = client.post(
                    f"/review/{self.job}/{path}",
                    json={"tab": self.name, **body},
                    headers={"X-CSRF-Token": token, "Accept": "application/json"},
                )
                if answer.status_code < 500:
                    self.waits.append(time.monotonic() - began)
                    assert answer.is_success, answer.text
                    return answer.json()
            except httpx.TransportError:
                pass
            if time.monotonic() > end:
                raise AssertionError(f"{self.name}: {path} was not answered for two minutes")
            self._turn += 1
            time.sleep(0.2)

    def _client(self, address: str) -> tuple[httpx.Client, str]:
        if address not in self._clients:
            client = httpx.Client(base_url=address, timeout=60, follow_redirects=True)
            page = client.post("/sign-in", data={"name": self.name, "password": PASSWORD})
            if page.status_code >= 500:
                raise httpx.ConnectError("not ready")
            (token,) = re.findall(r'name="csrf-token" content="([^"]+)"', page.text)
            self._clients[address] = client, token
        return self._clients[address]


def work_together(keyers: Sequence[Keyer], meanwhile: Callable[[], None] = lambda: None) -> None:
    """Let keyers work at once, each in a thread; raises what went wrong with any of them."""
    threads = [threading.Thread(target=keyer.run, daemon=True) for keyer in keyers]
    for each in threads:
        each.start()
    meanwhile()
    for each in threads:
        each.join(900)
    for keyer in keyers:
        if keyer.problem is not None:
            raise keyer.problem


def median_wait(keyers: Sequence[Keyer]) -> float:
    """The median of all requests of all keyers (seconds)."""
    return median(wait for keyer in keyers for wait in keyer.waits)
