"""Review in Chromium, in short: a group, keying with a sum that is off, undo, help, a masked job.

More is in tests/browser/test_desk_review.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.desk.review.tasks import Options, keep_options
from inkmill.producer import results
from tests.browser.desks import sign_in
from tests.desk_browser import Look, chromium, serving
from tests.fakes import FakeCluster
from tests.unit.desk_jobs import mixed_job, truth_of_mixed
from tests.unit.desk_visits import PASSWORD


def test_two_pages_are_reviewed_by_keyboard_alone(tmp_path: Path) -> None:
    expect.set_options(timeout=60_000)
    cluster = FakeCluster(cache_dir=tmp_path)
    job, _ = mixed_job(cluster, pages=2)
    keep_options(cluster.store, job, Options(masked=True))
    context = DeskContext(cluster.connection)
    context.people.add("anna", Role.KEYER, PASSWORD)
    with chromium() as browser, serving(context) as base:
        look = Look(browser, base, viewport={"width": 1200, "height": 800})
        page: Any = look.page
        sign_in(look, "anna", f"/review/{job}/work")
        cells = page.locator(".group img")
        expect(cells).to_have_count(4)
        look.is_accessible()
        assert page.locator("#page").count() == 0  # masked: no page around a field
        # The odd one ends with a 1: to it by arrows, its digit over it, Enter for the rest.
        titles = page.locator(".group button").evaluate_all("all => all.map(each => each.title)")
        for _ in range(next(n for n, t in enumerate(titles) if "0000" in t and "code_0" in t)):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        inputs = page.locator(".fields input:not(:disabled)")
        expect(inputs).to_have_count(1)
        expect(inputs.first).to_be_focused()
        page.keyboard.type("68")
        expect(page.locator(".problems").first).to_contain_text("68 + 45 is 113")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        look.is_accessible()
        page.keyboard.press("Escape")
        inputs.first.fill("67")
        page.keyboard.press("Enter")
        expect(page.locator(".about").first).to_contain_text("scan_0001")
        page.keyboard.press("Control+z")
        expect(page.locator("#what")).to_contain_text("to correct")
        page.keyboard.press("Escape")
        inputs.first.fill("67")
        page.keyboard.press("Enter")
        expect(page.locator("#what")).to_have_text("Nothing waits for you")
        look.is_accessible()
    held = {
        (row.item, each.name): each.value
        for row in results(job, connection=cluster.connection)
        for each in row.fields
    }
    assert held == {place: truth_of_mixed(*place) for place in held}
