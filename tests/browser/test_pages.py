"""The pages that Inkmill writes, as a browser shows them: no network, pictures, typing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inkmill.forms.cut.recut import cut_again
from inkmill.people import audit, review
from inkmill.people.lists import files
from inkmill.people.report import summary
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
    summary.write(summary.gather(cluster.connection, job, cut_again, truth), page)
    look(browser, page, f"--screenshot={shot}")
    seen = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert seen.shape[:2] == (1600, 1200)
    assert (seen.max(axis=2) < 60).sum() > 2_000  # text
    green = (seen[..., 1] > seen[..., 0] + 40) & (seen[..., 1] > seen[..., 2] + 40)
    assert green.sum() > 2_000  # the bars of sure readings
    count = page.read_text().count("<img")
    counted = tmp_path / "counted.html"
    script = "<script>document.title = [...document.images].filter(i => i.naturalWidth).length"
    counted.write_text(page.read_text() + script + "</script>")
    assert f"<title>{count}</title>" in look(browser, counted, "--dump-dom")


def test_the_review_page_counts_what_is_typed(
    cluster: FakeCluster, job: str, tmp_path: Path, browser: str
) -> None:
    page = tmp_path / "review.html"
    review.export(cluster.connection, job, page, cut_again)
    shown = look(browser, page, "--dump-dom")
    assert "0 of 3 entered" in shown
    assert "Inkmill review: tally" in shown
    typed = tmp_path / "typed.html"
    typed.write_text(
        page.read_text() + "<script>const one = document.querySelector('input'); one.value = '67';"
        "one.dispatchEvent(new Event('input')); URL.createObjectURL = blob => {"
        "blob.text().then(text => { document.title = text.split('\\n')[1]; }); return '#'; };"
        "document.getElementById('save').click();</script>"
    )
    shown = look(browser, typed, "--dump-dom")
    assert "1 of 3 entered" in shown
    assert '"tally","review","","t1.0","1","a","\'61","\'67"</title>' in shown.replace(
        "&quot;", '"'
    )
    assert "1 of 3 entered; saved" in shown


def typing(page: Path, into: Path, *values: str) -> Path:
    """The page as somebody leaves it who typed these values into its first lines."""
    script = (
        f"<script>{json.dumps(values)}.forEach((value, n) => {{ const one = "
        "document.querySelectorAll('input')[n]; one.value = value;"
        "one.dispatchEvent(new Event('input')); })</script>"
    )
    into.write_text(page.read_text() + script)
    return into


def test_what_was_typed_stays_with_its_own_list(
    cluster: FakeCluster, tmp_path: Path, browser: str
) -> None:
    template = form({"a": "3|type: code"})
    doubtful = {("a", n): cell("1", 0.6) for n in range(3)}
    pages = [row(template, n, {"a": f"11{n}"}, doubtful) for n in range(4)]
    job = finished_job(cluster, template, pages)
    page, first, show = tmp_path / "review.html", tmp_path / "first.html", "<script>document.title"
    show += " = rows.map(row => row.dataset.item + '=' + box(row).value).join(' ')</script>"
    assert review.export(cluster.connection, job, page, cut_again) == 4
    first.write_text(page.read_text() + show)
    assert "2 of 4 entered; not saved yet" in look(
        browser, typing(page, tmp_path / "typed.html", "900", "901"), "--dump-dom"
    )
    entries = [files.Entry(n, "a", f"11{n}", f"90{n}", n) for n in range(2)]
    sheet = files.Sheet(files.About(job, files.REVIEW), entries)
    review.import_list(cluster.connection, sheet, "anna")
    assert review.export(cluster.connection, job, page, cut_again) == 2
    page.write_text(page.read_text() + show)
    assert "<title>2= 3=</title>" in look(browser, page, "--dump-dom")
    assert "<title>0=900 1=901 2= 3=</title>" in look(browser, first, "--dump-dom")


def test_a_list_without_fields_says_so(cluster: FakeCluster, tmp_path: Path, browser: str) -> None:
    tally = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    job = finished_job(cluster, tally, [row(tally, 0, GOOD)])
    page = tmp_path / "review.html"
    assert review.export(cluster.connection, job, page, cut_again) == 0
    shown = look(browser, page, "--dump-dom")
    assert "nothing to type: no field is in this list" in shown
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
        each.write_text(
            each.read_text() + "<script>document.querySelectorAll('input').forEach(one => {"
            "one.value = '.'; one.dispatchEvent(new Event('input')); })</script>"
        )
        assert told in look(browser, each, "--dump-dom")
