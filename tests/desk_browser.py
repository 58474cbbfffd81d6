"""The desk in a real browser: a server in a thread, Chromium by Playwright, axe-core."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: What axe-core calls worse than moderate.
_SERIOUS = ("serious", "critical")
#: On a busy machine a page may take long; nothing here asserts a duration.
_MOST_MILLISECONDS = 60_000


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, or the test is skipped with the reason why there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: on Debian and Ubuntu, apt install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = [
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        browser = playwright.chromium.launch(executable_path=found, args=options)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def serving(context: DeskContext) -> Iterator[str]:
    """A server of the desk in this process; yields its address."""
    config = uvicorn.Config(
        create_app(context), host="127.0.0.1", port=0, log_config=None, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


class Look:
    """A page that watches for what must not happen: requests elsewhere, errors of scripts."""

    def __init__(self, browser: Any, base: str, **options: Any) -> None:
        self.base = base
        self.wrong: list[str] = []
        self.context = browser.new_context(base_url=base, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(_MOST_MILLISECONDS)
        self.page.on("request", self._request)
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("console", self._said)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.base, "blob:", "data:")):
            self.wrong.append(f"a request to {request.url}")

    def _said(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.wrong.append(message.text)

    def is_accessible(self) -> None:
        """Assert that axe-core finds nothing serious, and that nothing went wrong so far."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        serious = [
            (each["id"], each["help"], each["nodes"][0]["html"])
            for each in found
            if each["impact"] in _SERIOUS
        ]
        assert serious == [], self.page.url
        assert self.wrong == []
