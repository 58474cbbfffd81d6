"""Every kind of page of the desk: accessible, from one host only; a session that ends in typing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from inkmill.backends import event_log
from inkmill.codes import Code, Status
from inkmill.desk.people.roles import Role
from inkmill.desk.training.asked import Trainings
from inkmill.desk.web.access import SESSION
from inkmill.records.events import Event
from inkmill.records.rows import Row
from tests.browser.desks import Desk, desk_of, sign_in
from tests.desk_browser import Look, chromium
from tests.fakes import FakeCluster
from tests.unit.desk_jobs import CODE, sums_job
from tests.unit.desk_visits import PASSWORD
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import cell, form, row
from tests.unit.test_desk_training import GOOD, ask, run

expect.set_options(timeout=60_000)

PEOPLE = {"ada": Role.ADMIN, "anna": Role.KEYER}
#: Pages that must not be wider than a phone: at the others, people drag on pictures.
NARROW = (
    *("/jobs", "/jobs/new", "/jobs/lost", "/jobs/lost/rows?status=error", "/account"),
    *("/people", "/trail", "/templates", "/models"),
    *("/review", "/review/lost", "/review/lost/supervise?who=anna", "/review/lost/training"),
    *("/review/lost/work", "/review/lost/located"),
)


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(cache_dir=tmp_path / "cache")


@pytest.fixture
def desk(cluster: FakeCluster) -> Iterator[Desk]:
    with desk_of(cluster.connection, PEOPLE) as running:
        yield running


def a_job_of_everything(cluster: FakeCluster) -> str:
    """A page in error, a doubtful one, values of three people who differ; a training that is done.

    Returns the training's id.
    """
    template = form({"a": CODE, "b": CODE})
    lost = Row(0, "lost.png", status=Status.ERROR, code=Code.UNREGISTERED, message="no marks")
    doubts = {("a", 3): cell("7", 0.9, d1=0.09)}
    pages = [lost, replace(row(template, 1, {"a": "1237", "b": "1237"}, doubts), item=1)]
    job = finished_job(cluster, template, pages, name="lost")
    for number, (who, value) in enumerate((("anna", "1237"), ("ben", "1231"), ("cy", "1234"))):
        event_log.add(cluster.store, job, [Event(1, "a", value, "1237", who, 1.0 + number)])
    made = ask(Trainings(cluster.store), job)
    run(cluster, f"import sys; open(sys.argv[1], 'wb').write({GOOD.encode()!r})")
    return made.id


def test_every_kind_of_page_is_accessible(cluster: FakeCluster, desk: Desk) -> None:
    training = a_job_of_everything(cluster)
    pages = [*NARROW, f"/models/{training}", "/review/lost/located/0"]
    with chromium() as browser:
        look = Look(browser, desk.address, viewport={"width": 1200, "height": 800})
        page: Any = look.page
        sign_in(look, "ada", "/jobs")
        for path in pages:
            page.goto(path)
            expect(page.locator("h1")).to_be_visible()
            look.is_accessible()
            if folder := os.environ.get("INKMILL_SCREENSHOTS"):
                page.wait_for_timeout(500)
                name = path.strip("/").replace("/", "-").partition("?")[0]
                page.screenshot(path=f"{folder}/{name}.png", full_page=True)
        page.set_viewport_size({"width": 360, "height": 740})
        for path in NARROW:
            page.goto(path)
            across = page.evaluate("document.documentElement.scrollWidth")
            assert across <= 360, f"{path} is wider than a phone"
            look.is_accessible()


def test_what_is_typed_survives_a_session_that_ends(cluster: FakeCluster, desk: Desk) -> None:
    job, _ = sums_job(cluster, pages=1)
    with chromium() as browser:
        look = Look(browser, desk.address, viewport={"width": 1200, "height": 800})
        page: Any = look.page
        sign_in(look, "anna", f"/review/{job}/work")
        expect(page.locator(".fields input").first).to_be_focused()
        page.keyboard.type("67")
        token = next(each["value"] for each in look.context.cookies() if each["name"] == SESSION)
        desk.app.state.context.sessions.end(token)
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("our session is over")
        assert page.locator(".fields input").first.input_value() == "67"
        assert event_log.load(cluster.store, job) == []
        other = look.context.new_page()
        other.goto(f"{desk.address}/sign-in")
        other.fill("[name=name]", "anna")
        other.fill("[name=password]", PASSWORD)
        other.keyboard.press("Enter")
        other.wait_for_url("**/jobs")
        page.bring_to_front()
        page.locator(".fields input").first.press("Enter")
        expect(page.locator("#what")).to_have_text("Nothing waits for you")
        (entry,) = event_log.load(cluster.store, job)
        assert (entry.value, entry.who) == ("67", "anna")
