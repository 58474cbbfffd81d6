"""Review in a real browser: groups, keying, second keying, audits, corners, kills while typing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inkmill.backends import event_log
from inkmill.codes import Code, Status
from inkmill.desk.people.roles import Role
from inkmill.desk.review.tasks import Options, keep_options
from inkmill.producer import results
from inkmill.records.events import LATE, Event
from inkmill.records.rows import Row
from tests.browser.desks import Desk, desk_of, sign_in, start_desk
from tests.desk_browser import Look, chromium
from tests.fakes import FakeCluster
from tests.unit.desk_jobs import codes_job, sums_job
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form

PEOPLE = {"anna": Role.KEYER, "ben": Role.SECOND, "cara": Role.SECOND, "sue": Role.SUPERVISOR}


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(cache_dir=tmp_path / "cache")


@pytest.fixture
def desk(cluster: FakeCluster) -> Iterator[Desk]:
    with desk_of(cluster.connection, PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def open_page(browser: Any, desk: Desk) -> Iterator[Callable[[str, str], Any]]:
    """Opens a page as a person, each with cookies of their own; nothing may go wrong on it, and
    nothing may be asked of another host."""
    opened: list[Look] = []

    def new(name: str, path: str) -> Any:
        look = Look(browser, desk.address, viewport={"width": 1200, "height": 800})
        opened.append(look)
        sign_in(look, name, path)
        return look.page

    yield new
    for look in opened:
        look.is_accessible()
        look.context.close()


def held(cluster: FakeCluster, job: str) -> dict[tuple[int, str], tuple[str, str, str]]:
    return {
        (row.item, each.name): (each.value, str(each.status), each.source)
        for row in results(job, connection=cluster.connection)
        for each in row.fields
    }


def until(page: Any, script: str, argument: object = None) -> None:
    """Wait for a page. Not by Playwright's wait_for_function, which the page's policy forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(script, argument):
        assert time.monotonic() < end, page.inner_text("main")
        page.wait_for_timeout(50)


def nothing_left(page: Any) -> None:
    until(page, "document.getElementById('what').textContent === 'Nothing waits for you'")


def has_field(page: Any, count: int = 1) -> None:
    """Wait for a screen whose fields have their pictures and the focus."""
    until(
        page,
        "n => document.querySelectorAll('.fields li input:not(:disabled)').length === n"
        " && document.activeElement.matches('.fields input')"
        " && document.querySelector('.fields img').naturalHeight > 0",
        count,
    )


def test_a_group_is_verified_by_keyboard_alone(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = codes_job(cluster, pages=6)
    page = open_page("anna", f"/review/{job}/work")
    until(
        page,
        "[...document.querySelectorAll('.group img')].every(each => each.naturalHeight > 0)"
        " && document.querySelectorAll('.group img').length === 12",
    )
    for key in ("ArrowRight", "1", "+", "/", "ArrowLeft", "Backspace"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    has_field(page)  # the cell that was left for later comes to be keyed
    page.keyboard.press("Control+z")
    page.wait_for_selector(".group")
    assert page.locator(".over:visible").all_inner_texts() == ["1", "later"]
    page.keyboard.press("Escape")
    has_field(page)
    page.keyboard.press("Enter")
    nothing_left(page)
    found = list(held(cluster, job).values())
    assert found.count(("1231", "ok", "review:anna")) == 1
    assert found.count(("1237", "ok", "review:anna")) == 11


def test_keying_from_the_image_tells_at_once_what_is_off_and_can_be_undone(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = sums_job(cluster, pages=2)
    page = open_page("anna", f"/review/{job}/work")
    has_field(page, 2)
    assert page.locator(".fields img").first.bounding_box()["height"] >= 144
    assert "Enter takes 67" in page.locator(".about").first.inner_text()
    page.keyboard.type("68")
    page.wait_for_selector("text=68 + 41 is 109, and total is 108")
    page.keyboard.down(" ")
    page.wait_for_selector("#around:visible")
    page.keyboard.up(" ")
    page.wait_for_selector("#around", state="hidden")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")  # 68 after all: the sum is still off, so another field is left
    until(page, "document.querySelectorAll('.fields li.done').length === 1")
    assert held(cluster, job)[0, "a"] == ("68", "ok", "review:anna")
    page.keyboard.press("Control+z")
    page.keyboard.type("67")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.about').innerText.includes('scan_0001')")
    assert held(cluster, job)[0, "a"] == ("67", "ok", "review:anna")
    page.keyboard.press("Enter")
    nothing_left(page)
    assert {status for _, status, _ in held(cluster, job).values()} == {"ok"}


def test_second_keying_is_blind_and_a_third_person_settles(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = sums_job(cluster, pages=1)
    keep_options(cluster.store, job, Options(second_share=1.0))
    page = open_page("anna", f"/review/{job}/work")
    has_field(page, 2)
    page.keyboard.press("Enter")
    nothing_left(page)
    for name, value in (("ben", "61"), ("cara", "67")):
        other = open_page(name, f"/review/{job}/work?kind=second")
        has_field(other)
        assert "67" not in other.locator(".about").inner_text()
        other.keyboard.press("Enter")
        other.wait_for_selector("text=Nothing is proposed")
        other.keyboard.type(value)
        other.keyboard.press("Enter")
        nothing_left(other)
    assert held(cluster, job)[0, "a"] == ("67", "ok", "review:anna+cara")


def test_a_supervisor_decides_between_three_by_keyboard(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = sums_job(cluster, pages=1)
    entered = (("anna", "67"), ("ben", "61"), ("cara", "64"))
    for number, (name, value) in enumerate(entered):
        event_log.add(cluster.store, job, [Event(0, "a", value, "61", name, 1.0 + number)])
    page = open_page("sue", f"/review/{job}/work?kind=decide")
    has_field(page)
    assert page.inner_text("#what") == "Decide where people differ"
    said = page.locator(".entries button").all_inner_texts()
    assert said == ["61: ben", "64: cara", "67: anna"]
    for _ in said:
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    nothing_left(page)
    assert held(cluster, job)[0, "a"] == ("67", "ok", "review:sue")


def test_corners_are_dragged_onto_the_marks_and_the_fields_are_shown_at_once(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    template = form({"a": "3|type: code", "b": "3|type: code"})
    lost = Row(0, "scan.png", status=Status.ERROR, code=Code.UNREGISTERED, message="no marks")
    job = finished_job(cluster, template, [lost])
    page = open_page("ben", f"/review/{job}/located")
    page.click("tr:has-text('scan.png') >> a")
    until(page, "document.querySelectorAll('.cuts img').length === 2")
    before = page.locator(".cuts img").first.get_attribute("src")
    place = page.locator("#corners")
    place.scroll_into_view_if_needed()
    # The form's marks, as parts of the page.
    marks = [(x / 210, y / 297) for x, y in ((10, 10), (200, 10), (200, 287), (10, 287))]
    for number, (x, y) in enumerate(marks, 1):
        handle = page.get_by_label(f"Corner {number}", exact=True)
        handle.scroll_into_view_if_needed()
        box, grip = place.bounding_box(), handle.bounding_box()
        page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        page.mouse.up()
    until(page, "src => document.querySelector('.cuts img').src !== src", before)
    page.get_by_label("Corner 4", exact=True).press("Shift+ArrowLeft")
    page.get_by_label("Corner 4", exact=True).press("Shift+ArrowRight")
    # The first cell of the first field is black: the marks were met within some pixels.
    dark = """async () => {
        const picture = document.querySelector('.cuts img');
        await picture.decode();
        const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
        const pen = canvas.getContext('2d');
        pen.drawImage(picture, 0, 0);
        const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, index) => index % 4 === 0 && value < 60).length;
    }"""
    end = time.monotonic() + 60
    while page.evaluate(dark) < 500:
        assert time.monotonic() < end
        page.wait_for_timeout(100)


def test_an_audit_is_drawn_keyed_and_shown(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = sums_job(cluster, pages=0, good=4)
    page = open_page("sue", f"/review/{job}")
    page.fill("#count", "3")
    page.click("text=Start an audit")
    page.wait_for_selector("text=3 accepted fields are to be keyed blind")
    page.click("tr:has-text('Audit') >> text=Only these")
    has_field(page, 3)
    for _ in range(3):
        name = page.evaluate("document.activeElement.ariaLabel.split(':')[0]")
        page.keyboard.type({"a": "10", "b": "20", "total": "30"}[name])
        page.keyboard.press("Enter")
        # The next one may be the same field of another page; what is keyed blind begins empty.
        until(page, "!document.activeElement.value")
    nothing_left(page)
    page.goto(page.url.replace("/work?kind=audit", ""))
    assert "0.00 in 1,000" in page.inner_text("main")


def test_what_is_typed_survives_a_server_that_dies_and_a_page_that_is_closed(
    cluster: FakeCluster, desk: Desk, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = sums_job(cluster, pages=2)
    page = open_page("anna", f"/review/{job}/work")
    has_field(page, 2)
    page.keyboard.type("67")
    desk.stop()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=What you typed is kept, and is sent again")
    assert event_log.load(cluster.store, job) == []
    again = start_desk(cluster.connection, int(desk.address.rpartition(":")[2]))
    until(page, "document.querySelector('.about').innerText.includes('scan_0001')")
    assert held(cluster, job)[0, "a"] == ("67", "ok", "review:anna")
    page.keyboard.type("6")
    page.reload()  # the tab gets back its task, with what was typed so far
    has_field(page, 2)
    assert page.locator(".fields input").first.input_value() == "6"
    again.stop()


def test_a_task_that_somebody_else_got_is_told_and_what_was_typed_is_kept(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = sums_job(cluster, pages=2)
    page = open_page("anna", f"/review/{job}/work")
    has_field(page, 2)
    page.keyboard.type("67")
    sue = open_page("sue", f"/review/{job}/supervise")
    sue.get_by_label("Who gets task 0-0").select_option("ben")
    sue.get_by_role("button", name="Give", exact=True).click()
    sue.wait_for_selector("text=Task 0-0, which anna had, goes to ben.")
    ben = open_page("ben", f"/review/{job}/work")
    has_field(ben, 2)
    assert "scan_0000" in ben.inner_text(".about >> nth=0")
    page.bring_to_front()
    page.keyboard.press("Enter")
    page.wait_for_selector("text=ben has this task by now: your last entry is kept")
    until(page, "document.querySelector('.about').innerText.includes('scan_0001')")
    assert [(each.who, each.value, each.source) for each in event_log.load(cluster.store, job)] == [
        ("anna", "67", LATE)
    ]
    sue.reload()
    sue.wait_for_selector("h2:text('Late answers')")


def test_a_supervisor_sees_work_and_sends_it_back(
    cluster: FakeCluster, open_page: Callable[[str, str], Any]
) -> None:
    job, _ = codes_job(cluster, pages=1)
    page = open_page("anna", f"/review/{job}/work")
    page.wait_for_selector(".group img")
    page.keyboard.press("Enter")
    nothing_left(page)
    sue = open_page("sue", f"/review/{job}/supervise")
    sue.click("p a:text('anna')")
    sue.click("text=Send all of them back")
    sue.wait_for_selector("text=2 entries of anna were sent back")
    assert held(cluster, job)[0, "code_0"][1] == "review"
