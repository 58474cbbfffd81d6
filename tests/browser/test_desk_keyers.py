"""Ten keyers at two desk servers on 2,000 doubtful fields, with kills; one of them in a browser.

The short version is tests/integration/test_desk_keyers.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inkmill.backends.store import open_store
from inkmill.errors import InkmillError
from inkmill.local.servers import Stack
from inkmill.records.events import Place
from inkmill.records.rows import FieldResult
from tests.desk_browser import chromium
from tests.fakes import FakeCluster
from tests.integration.test_desk_keyers import add_people, fields_of, settled_once
from tests.keyers import Keyer, Server, median_wait, work_together
from tests.unit.desk_jobs import mixed_job, truth_of_mixed
from tests.unit.desk_visits import PASSWORD

#: Three of the fields of a page must be entered.
_PAGES = 667


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    try:
        running = Stack(tmp_path / "stack")
        running.__enter__()
    except InkmillError as error:
        pytest.skip(f"no servers: {error}")
    yield running
    running.stop()


def keyers(desks: list[Server], job: str, names: list[str], seconds: float) -> list[Keyer]:
    addresses = [each.address for each in desks]
    return [
        Keyer(
            name,
            addresses[number % 2 :] + addresses[: number % 2],
            job,
            truth_of_mixed,
            pause=lambda: time.sleep(seconds),
        )
        for number, name in enumerate(names)
    ]


def is_review(fields: Mapping[Place, FieldResult]) -> bool:
    return any(each.status == "review" for each in fields.values())


def entered(working: list[Keyer]) -> int:
    """How often a field was confirmed or typed."""
    return sum(each.typed.total() for each in working)


@contextmanager
def typing(desk: Server, job: str, name: str) -> Iterator[Any]:
    """A browser in which a value was confirmed and another begun."""
    with chromium() as browser:
        page: Any = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{desk.address}/sign-in?next=/review/{job}/work?kind=key")
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector(".fields input")
        page.keyboard.type("67")
        with page.expect_response("**/answer"):
            page.keyboard.press("Enter")
        page.keyboard.type("6")
        yield browser


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_keyers_settle_two_thousand_fields_once_whatever_is_killed(
    stack: Stack, tmp_path: Path
) -> None:
    settings = stack.settings.model_copy(update={"cache_dir": tmp_path / "cache"})
    store = open_store(settings)
    job, doubtful = mixed_job(FakeCluster(store), pages=_PAGES)
    names = [f"keyer{number}" for number in range(10)]
    add_people(store, [*names, "browser"])
    desks = [Server(settings, tmp_path / f"desk-{number}.log") for number in range(2)]
    working = keyers(desks, job, names, seconds=0.1)

    def kill() -> None:
        browser.close()
        for _ in range(2):
            time.sleep(0.5)
            desks[0].kill()
            time.sleep(0.5)
            stack.kill("redis")
            stack.forget_redis()
            time.sleep(0.5)
            stack.start_redis()
            desks[0].start()
        desks[1].kill()
        assert entered(working) < doubtful, "everything was killed while people were at work"
        time.sleep(0.5)
        desks[1].start()

    try:
        with typing(desks[0], job, "browser") as browser:
            work_together(working, meanwhile=kill)
        # What the browser's person had in hand goes on once its lease has run out.
        end = time.monotonic() + 300
        while is_review(fields := fields_of(settings, job)) and time.monotonic() < end:
            last = keyers(desks, job, names[:1], seconds=0.0)
            work_together(last)
            working += last
            time.sleep(5)
    finally:
        for each in desks:
            each.stop()
    settled_once(settings, job, doubtful, fields)
    late = sum(len(each.late) for each in working)
    assert entered(working) <= doubtful + late
    print(f"a request takes {1000 * median_wait(working):.0f} ms at the median")
