"""People at a desk, scripted: what their browsers ask for, when, and how long the answers take."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx

#: Seconds for a key, for a look at a screen of a group, for a look at a field (as bench.review).
KEY, SCREEN, FIELD = 0.3, 1.2, 2.0
#: Seconds that a supervisor looks at a page before opening the next.
LOOK = 1.0
#: Requests that a browser has on its way to one server at a time.
_AT_ONCE = 6

PASSWORD = "bench of the desk"
Truth = Callable[[int, str], str]


class Browser:
    """A person who is signed in; ``waits`` has the seconds of each request, by kind."""

    def __init__(self, address: str, name: str) -> None:
        self.waits: dict[str, list[float]] = defaultdict(list)
        self._client = httpx.Client(base_url=address, timeout=60, follow_redirects=True)
        page = self._client.post("/sign-in", data={"name": name, "password": PASSWORD})
        (token,) = re.findall(r'name="csrf-token" content="([^"]+)"', page.text)
        self._headers = {"X-CSRF-Token": token, "Accept": "application/json"}
        self._pictures = ThreadPoolExecutor(_AT_ONCE)
        self._seen = set[str]()

    def get(self, kind: str, path: str) -> None:
        """A page or picture."""
        began = time.perf_counter()
        self._client.get(path).raise_for_status()
        self.waits[kind].append(time.perf_counter() - began)

    def post(self, kind: str, path: str, **body: Any) -> Any:
        """What a script of a page asks."""
        began = time.perf_counter()
        answer = self._client.post(path, json=body, headers=self._headers)
        self.waits[kind].append(time.perf_counter() - began)
        answer.raise_for_status()
        return answer.json()

    def show(self, kind: str, paths: Sequence[str]) -> None:
        """All pictures of a screen, of which those seen before are in the browser's cache."""
        new = [path for path in paths if path not in self._seen]
        self._seen.update(new)
        list(self._pictures.map(lambda path: self.get(kind, path), new))

    def close(self) -> None:
        self._pictures.shutdown()
        self._client.close()


class Keyer:
    """Works on a job's tasks as `desk/static/review` does, at a person's pace, until stopped."""

    def __init__(self, browser: Browser, name: str, job: str, truth: Truth) -> None:
        self.browser, self.entered = browser, 0
        self._name, self._job, self._truth = name, job, truth

    def run(self, stop: threading.Event) -> None:
        """Work until stopped, or until nothing is left."""
        while not stop.is_set():
            began = time.perf_counter()
            task = self._ask("next")
            if not task["task"]:
                return
            shown = [each["picture"] for each in task["fields"]]
            self.browser.show(
                f"picture of a {'cell' if task['kind'] == 'group' else 'field'}", shown
            )
            self.browser.waits["the next screen with all its pictures"].append(
                time.perf_counter() - began
            )
            (self._group if task["kind"] == "group" else self._fields)(task, stop)

    def _ask(self, path: str, kind: str = "", **body: Any) -> Any:
        address = f"/review/{self._job}/{path}"
        return self.browser.post(kind or path, address, tab=self._name, **body)

    def _group(self, task: Mapping[str, Any], _: threading.Event) -> None:
        cells, keys = [], 1
        for each in task["fields"]:
            right, shown = self._truth(each["item"], each["field"]), each["shown"]
            cells.append({"item": each["item"], "field": each["field"], "digit": ""})
            if right != shown:
                cells[-1]["digit"] = "skip"
                keys += 4
        time.sleep(SCREEN + keys * KEY)
        self._ask("confirm", task=task["task"], cells=cells)
        self.entered += sum(each["digit"] == "" for each in cells)

    def _fields(self, task: Mapping[str, Any], stop: threading.Event) -> None:
        left = list(task["fields"])
        while left and not stop.is_set():
            # As the page does: first what the rules propose to change.
            field = next((each for each in left if each["proposed"] != each["shown"]), left[0])
            right = self._truth(field["item"], field["field"])
            time.sleep(FIELD)
            if right != field["proposed"]:
                self._type(task["task"], field, right)
            time.sleep(KEY)
            place = {"item": field["item"], "field": field["field"]}
            answer = self._ask("answer", task=task["task"], **place, text=right or "_")
            self.entered += 1
            open_ = {(item, name) for item, name in answer["left"]}
            left = [each for each in left if (each["item"], each["field"]) in open_]

    def _type(self, task: str, field: Mapping[str, Any], text: str) -> None:
        """Each key is followed by a question what is off by now."""
        for end in range(1, len(text) + 1):
            time.sleep(KEY)
            value = {"item": field["item"], "field": field["field"], "text": text[:end]}
            self._ask("check", kind="check while typing", task=task, values=[value])


class Supervisor:
    """Opens one page after the other, until stopped."""

    def __init__(self, browser: Browser, pages: Mapping[str, str]) -> None:
        self.browser = browser
        self._pages = pages

    def run(self, stop: threading.Event) -> None:
        """Look at all pages in turn."""
        while True:
            for name, path in self._pages.items():
                self.browser.get(f"page: {name}", path)
                if stop.wait(LOOK):
                    return
