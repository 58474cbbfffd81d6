"""A new desk in a browser: the first link, people, a job from dropped files to its table."""

from __future__ import annotations

import re
from pathlib import Path

from inkmill.desk.account import first_link
from inkmill.desk.context import DeskContext
from inkmill.lifecycle.lookup import load_job
from tests.desk_browser import Look, chromium, serving
from tests.fakes import FakeCluster, png


def test_from_the_first_link_to_a_table(cluster: FakeCluster, tmp_path: Path) -> None:
    context = DeskContext(cluster.connection)
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    (tmp_path / "note.png").write_bytes(b"no image at all")
    with chromium() as browser, serving(context) as base:
        look = Look(browser, base, accept_downloads=True)
        page = look.page
        page.goto(f"/first?token={first_link.make(context)}")
        look.is_accessible()
        page.get_by_label("New password, at least 8 characters").fill("correct horse")
        page.get_by_label("The same again").fill("correct horse")
        page.keyboard.press("Enter")
        page.get_by_text("Your password is changed").wait_for()

        page.goto("/people")
        page.get_by_label("Name").fill("berta")
        page.get_by_role("button", name="Add", exact=True).click()
        page.locator(".handed").wait_for()
        look.is_accessible()

        page.goto("/jobs/new")
        look.is_accessible()
        page.set_input_files("#files", sorted(tmp_path.glob("*.png")))
        page.get_by_text("4 of 4 files sent").wait_for()
        page.fill("#name", "monday")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url(re.compile("/jobs/monday$"))
        look.is_accessible()

        page.get_by_label("Format").select_option("csv")
        assert page.locator(".word.running").count() == 1
        cluster.work()
        page.locator(".word.finished").wait_for()  # by itself
        page.get_by_role("link", name="NOT_AN_IMAGE").click()
        assert page.get_by_role("rowheader", name="note.png").count() == 1
        look.is_accessible()

        page.goto("/jobs/monday")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        table = Path(download.value.path()).read_text()
        assert len(table.splitlines()) == 5
        assert load_job(context.store, "monday").items == 4

        page.set_viewport_size({"width": 360, "height": 740})
        for path in ("/jobs", "/jobs/monday", "/jobs/new"):
            page.goto(path)
            across = page.evaluate("document.documentElement.scrollWidth")
            assert across <= 360, f"{path} is wider than a phone"
        page.goto("/trail")
        look.is_accessible()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Password").wait_for()
        look.is_accessible()
