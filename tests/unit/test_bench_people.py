"""The pages by held-back hands: what is written on them is known."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from bench import grounds, people
from bench.people import Marks, Pages, Written
from inkmill.codes import Code, Status
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.records.rows import FieldResult, Row
from inkmill.template.form import Form
from tests.unit.form_pages import cell

THREE_CELLS = (cell("5"),) * 3
TALLY = Form.load(Path(__file__).resolve().parents[2] / "examples/forms/tally.yaml")


@pytest.fixture
def hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand that needs no data folder."""
    images = np.zeros((10, 40, 40), np.uint8)
    for digit in range(10):
        images[digit, 4:36, 4 + digit : 12 + digit] = 255
    found = HandwrittenDigits(images, np.arange(10), images[:1])
    monkeypatch.setattr(people, "one_hand", lambda rng: found)


def pages(count: int) -> list[Written]:
    made = Pages(TALLY, 110.0, "light")
    return [page for number in range(count) if (page := made.page(number)) is not None]


@pytest.mark.usefixtures("hand")
def test_some_sums_are_wrong_and_some_digits_struck_out() -> None:
    found = pages(60)
    assert 0 < sum(page.wrong_sum for page in found) < 12
    assert 0 < sum(bool(page.struck) for page in found) < 12
    for page in found:
        votes = sum(int(page.want[f"votes_{n:02d}"] or 0) for n in range(1, 9))
        right = votes == int(page.want["valid"])
        total = int(page.want["valid"]) + int(page.want["spoilt"] or 0) == int(page.want["total"])
        assert (right and total) is not page.wrong_sum
    assert any("X" in raw for page in found for raw in page.raw.values())


@pytest.mark.usefixtures("hand")
def test_a_page_is_the_same_in_every_run() -> None:
    made = Pages(TALLY, 110.0, "light")
    first, again = made.page(7), made.page(7)
    assert first is not None
    assert again is not None
    assert first == again


@pytest.mark.usefixtures("hand")
def test_dates_lie_between_the_days_that_their_form_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_WRONG_SUM", 1.0)
    dated = {form.name: form for form in people.forms() if form.name.startswith("dates")}
    assert set(dated) == {"dates", "dates_of_90_years", "dates_of_3_months"}
    page = Pages(dated["dates_of_3_months"], 110.0, "light").page(0)
    assert page is not None
    days = [datetime.strptime(value, "%d%m%Y").date() for value in page.want.values()]
    assert len(days) == 20
    assert all(date(2026, 10, 1) <= day <= date(2026, 12, 31) for day in days)
    assert not page.wrong_sum


def test_grounds_keep_the_ink() -> None:
    image = np.full((128, 128), 255, np.uint8)
    image[40:90, 60:70] = 0
    rng = np.random.default_rng(1)
    (cut,) = grounds.tight([image])
    assert cut.shape == (50, 10)
    (coarse,) = grounds.coarse([image], rng)
    assert coarse.shape == (30, 30)
    assert coarse[14, 15] < 60 < 200 < coarse[2:6, 2:6].mean()
    (waves,) = grounds.waves([image], rng)
    assert waves[50, 65] < 40
    assert 180 < waves[:30].min() < 215 < waves[:30].max()


def test_what_became_of_marks_is_counted() -> None:
    page = Written(b"", {"a": "XX5", "b": "12_"}, {"a": "5", "b": "12"}, frozenset({"c"}), False)
    fields = (
        FieldResult("a", "85", "X85", 0.9, cells=THREE_CELLS),
        FieldResult("b", "2", "X2_", 0.9, cells=THREE_CELLS),
        FieldResult("c", "7", "7", 0.9, status=Status.REVIEW, code=Code.LOW_CONFIDENCE),
    )
    marks = Marks()
    marks.take(Row(0, "x", fields=fields), page)
    assert (marks.crosses, marks.as_cross, marks.as_digit) == (2, 1, 1)
    assert (marks.digits, marks.digits_as_cross) == (3, 1)
    assert (marks.struck, marks.struck_accepted) == (1, 0)
