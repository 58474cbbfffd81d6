"""The pages that Inkmill writes, as a browser shows them: no network, pictures, typing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inkmill.forms.cut.recut import cut_again
from inkmill.models import pretrained
from inkmill.people import audit, lists, review
from inkmill.people.report import figures
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import cell, form, row
from tests.unit.test_review import GOOD, MISREAD, NUMBER, SUM

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: Nothing may be fetched: every name leads nowhere.
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--virtual-time-budget=3000",
    "--window-size=1200,1600",
)


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium: on Debian and Ubuntu, apt install chromium")
    return found


def look(browser: str, page: Path, *options: str) -> str:
    """Open a page; returns its elements after its script has run."""
    profile = page.parent / "profile"
    ran = subprocess.run(
        [browser, *_OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(page.parent)},
    )
    return ran.stdout


def with_script(page: Path, into: Path, script: str) -> Path:
    """The page with one script more, which its policy is made to allow; all else stays as it is."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = page.read_text()
    (before,) = re.findall(r"script-src [^;]*", text)
    allowed = before.replace(" 'none'", "") + f" 'sha256-{digest}'"
    into.write_text(text.replace(before, allowed) + f"<script>{script}</script>")
    return into


def saved(browser: str, page: Path, into: Path) -> str:
    """Open a page that clicks its Save button; returns the file that the browser then saves."""
    profile = page.parent / "saving"
    (profile / "Default").mkdir(parents=True)
    into.mkdir()
    settings = {"download": {"default_directory": str(into), "prompt_for_download": False}}
    (profile / "Default/Preferences").write_text(json.dumps(settings))
    # With a debugging port it stays open; a dump of the page ends before the file is there.
    options = [*_OPTIONS[:-2], f"--user-data-dir={profile}", "--remote-debugging-port=0"]
    running = subprocess.Popen(
        [browser, *options, page.as_uri()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(page.parent)},
    )
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for file in into.glob("*.csv"):
                if text := file.read_text():
                    return text
            time.sleep(0.1)
        raise AssertionError("the browser saved no file")
    finally:
        running.terminate()
        running.wait(30)


@pytest.fixture
def job(cluster: FakeCluster) -> str:
    tally = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    pages = [row(tally, 0, GOOD), row(tally, 1, MISREAD), row(tally, 2, GOOD)]
    return finished_job(cluster, tally, pages)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def test_the_report_shows_figures_and_pictures(
    cluster: FakeCluster, job: str, tmp_path: Path, browser: str
) -> None:
    page, shot = tmp_path / "report.html", tmp_path / "report.png"
    truth = {("scan_0000.png", 1): {"a": "10"}, ("scan_0001.png", 1): {"a": "67"}}
    figures.write(figures.gather(cluster.connection, job, cut_again, truth), page)
    look(browser, page, f"--screenshot={shot}")
    seen = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert seen.shape[:2] == (1600, 1200)
    assert (seen.max(axis=2) < 60).sum() > 2_000  # text
    green = (seen[..., 1] > seen[..., 0] + 40) & (seen[..., 1] > seen[..., 2] + 40)
    assert green.sum() > 2_000  # the bars of sure readings
    count = page.read_text().count("<img")
    script = "document.title = [...document.images].filter(i => i.naturalWidth).length"
    counted = with_script(page, tmp_path / "counted.html", script)
    assert f"<title>{count}</title>" in look(browser, counted, "--dump-dom")


def test_the_review_page_counts_what_is_typed(
    cluster: FakeCluster, job: str, tmp_path: Path, browser: str
) -> None:
    page = tmp_path / "review.html"
    review.export(cluster.connection, job, page, cut_again)
    shown = look(browser, page, "--dump-dom")
    assert "0 of 3 entered" in shown
    assert "Inkmill review: tally" in shown
    script = "const one = document.querySelector('input'); one.value = '67';"
    script += "one.dispatchEvent(new Event('input'));"
    typed = with_script(page, tmp_path / "typed.html", script)
    assert "1 of 3 entered; not saved yet" in look(browser, typed, "--dump-dom")
    # Without the download itself, which now and then keeps a dump from ending.
    kept = script + "HTMLAnchorElement.prototype.click = () => {}; save.click();"
    kept_page = with_script(page, tmp_path / "kept.html", kept)
    assert "1 of 3 entered; saved" in look(browser, kept_page, "--dump-dom")
    clicked = with_script(page, tmp_path / "clicked.html", script + "save.click();")
    head, first, *_ = saved(browser, clicked, tmp_path / "downloads").splitlines()
    assert head == "job,kind,sample,job_id,item,field,shown,typed"
    assert first == '"tally","review","","tally","1","a","\'61","\'67"'


def test_a_script_that_gets_into_a_page_does_not_run(
    cluster: FakeCluster, job: str, tmp_path: Path, browser: str
) -> None:
    report, lists, card = (tmp_path / f"{name}.html" for name in ("report", "review", "card"))
    shutil.copy(Path(pretrained.__file__).parent / "model-card.html", card)
    figures.write(figures.gather(cluster.connection, job, cut_again), report)
    review.export(cluster.connection, job, lists, cut_again)
    for page in (report, lists, card):
        with_script(page, tmp_path / "allowed.html", "document.title = 'ran'")
        assert "<title>ran</title>" in look(browser, tmp_path / "allowed.html", "--dump-dom")
        page.write_text(
            page.read_text() + "<script>document.title = 'ran'</script>"
            "<img src=x onerror=\"document.title = 'ran'\">"
        )
        shown = look(browser, page, "--dump-dom")
        assert "<title>ran</title>" not in shown
        assert re.search("<title>(Inkmill|Model card)", shown)


def typing(page: Path, into: Path, *values: str) -> Path:
    """The page as somebody leaves it who typed these values into its first lines."""
    script = (
        f"{json.dumps(values)}.forEach((value, n) => {{ const one = "
        "document.querySelectorAll('input')[n]; one.value = value;"
        "one.dispatchEvent(new Event('input')); })"
    )
    return with_script(page, into, script)


def test_what_was_typed_stays_with_its_own_list(
    cluster: FakeCluster, tmp_path: Path, browser: str
) -> None:
    template = form({"a": "3|type: code"})
    doubtful = {("a", n): cell("1", 0.6) for n in range(3)}
    pages = [row(template, n, {"a": f"11{n}"}, doubtful) for n in range(4)]
    job = finished_job(cluster, template, pages)
    page, first = tmp_path / "review.html", tmp_path / "first.html"
    show = "document.title = rows.map(row => row.dataset.item + '=' + box(row).value).join(' ')"
    assert review.export(cluster.connection, job, page, cut_again) == 4
    with_script(page, first, show)
    assert "2 of 4 entered; not saved yet" in look(
        browser, typing(page, tmp_path / "typed.html", "900", "901"), "--dump-dom"
    )
    entries = [lists.TypedValue(n, "a", f"11{n}", f"90{n}", n) for n in range(2)]
    about = lists.About.of(review.form_job(cluster.connection, job), lists.REVIEW)
    sheet = lists.FilledList(about, entries)
    review.import_list(cluster.connection, sheet, "anna")
    assert review.export(cluster.connection, job, page, cut_again) == 2
    with_script(page, page, show)
    assert "<title>2= 3=</title>" in look(browser, page, "--dump-dom")
    assert "<title>0=900 1=901 2= 3=</title>" in look(browser, first, "--dump-dom")


def test_a_list_without_fields_says_so(cluster: FakeCluster, tmp_path: Path, browser: str) -> None:
    tally = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    job = finished_job(cluster, tally, [row(tally, 0, GOOD)])
    page = tmp_path / "review.html"
    assert review.export(cluster.connection, job, page, cut_again) == 0
    shown = look(browser, page, "--dump-dom")
    assert "nothing to type: this list has no fields" in shown
    assert '<button id="save" disabled="">' in shown


def test_a_point_where_no_value_is_shown_is_marked_while_it_is_typed(
    cluster: FakeCluster, tmp_path: Path, browser: str
) -> None:
    template = form({"a": "3|type: code", "b": "3|type: code"}, "  - {equal: [a, b]}\n")
    pages = [
        row(template, 0, {"a": "1?3", "b": "123"}),
        row(template, 1, {"a": "123", "b": "124"}),
        row(template, 2, {"a": "123", "b": "123"}),
    ]
    job = finished_job(cluster, template, pages)
    page, blind = tmp_path / "review.html", tmp_path / "audit.html"
    assert review.export(cluster.connection, job, page, cut_again) == 3
    assert audit.sample(cluster.connection, job, 1, blind, cut_again, seed=1) == 1
    for each, told in ((page, "3 of 3 entered; 1 with ."), (blind, "1 of 1 entered; 1 with .")):
        with_script(
            each,
            each,
            "document.querySelectorAll('input').forEach(one => {"
            "one.value = '.'; one.dispatchEvent(new Event('input')); })",
        )
        assert told in look(browser, each, "--dump-dom")
