"""Pages with numbers without cells: from a scan to rows, with a reader that is told the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inkmill.codes import Code, Status
from inkmill.forms.reader import PageCells, cut_page
from inkmill.forms.synth.filling import FilledPage, fill_page, random_values
from inkmill.imagefile.sniff import Limits
from inkmill.models.strips import Hypothesis
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.rows import Row, decode
from inkmill.rules.settle import Settlement
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.pages import PageBatch
from inkmill.worker.engine.prepare import Recipe
from inkmill.worker.engine.strip_readers import read_together
from tests.unit.sheets import BILL, page_of, pen_digits, scanned

Grey = NDArray[np.uint8]
CLASSES = (*"0123456789", "blank", "reject")


@dataclass(eq=False)
class ToldReader:
    """Reads what it is told, strip by strip; notes how many it was asked together."""

    texts: Sequence[Mapping[str, float]]
    asked: list[int] = field(default_factory=list)

    def read(self, strips: Sequence[Grey]) -> list[list[Hypothesis]]:
        self.asked.append(len(strips))
        assert len(strips) <= len(self.texts)
        found = [
            [Hypothesis(text, p) for text, p in each.items()] for each in self.texts[: len(strips)]
        ]
        self.texts = self.texts[len(strips) :]
        return found


def filled(form: Form, seed: int, share_empty: float = 0.0) -> FilledPage:
    rng = np.random.default_rng(seed)
    return fill_page(form, pen_digits(), rng, dpi=150, share_empty=share_empty)


def batch_of(form: Form, sheets: Sequence[FilledPage]) -> PageBatch:
    files = [cv2.imencode(".png", each.grey)[1].tobytes() for each in sheets]
    items = tuple(Item(n, f"{n}.png", data=data) for n, data in enumerate(files))
    table = ChunkTable.decode(Chunk("job", 0, items).encode())
    batch = PageBatch(table, Templates((form,)), Recipe(28, ()), Limits())
    for number in range(len(items)):
        batch.read(number, {})
    return batch


def rows_of(batch: PageBatch, reader: ToldReader) -> list[Row]:
    (strings,) = read_together([(reader, batch.strips)])
    odds = np.zeros((len(batch.crops), len(CLASSES)), np.float32)
    odds[:, 7] = 1.0
    by = Reader(CLASSES, "ab" * 32, "float32", 0.9, strips_model="cd" * 32)
    return decode(batch.answer(odds, by, strings).data)


def written(form: Form, sheet: FilledPage, sure: float = 0.999) -> list[dict[str, float]]:
    """What a good reader says of a sheet's strips that hold ink."""
    texts = [sheet.raw[each.name] for each in form.strips(1)]
    return [{text: sure} for text in texts if text != "_"]


def test_pages_of_amounts_become_rows() -> None:
    form = Form.load(BILL)
    sheets = [filled(form, seed) for seed in (1, 2)]
    batch = batch_of(form, sheets)
    assert len(batch.strips) == 20
    assert not len(batch.crops)
    reader = ToldReader([text for sheet in sheets for text in written(form, sheet)])
    rows = rows_of(batch, reader)
    assert reader.asked == [20]
    for row, sheet in zip(rows, sheets, strict=True):
        assert (row.status, row.strips_model) == (Status.OK, "cd" * 32), row.message
        assert {each.name: each.value for each in row.fields} == sheet.values
        assert row.document_key == sheet.values["number"]
        assert all(each.box for each in row.fields)


def test_a_sum_makes_a_doubtful_amount_sure_and_settling_keeps_it_so() -> None:
    form = Form.load(BILL)
    sheet = filled(form, 3)
    told = written(form, sheet)
    (text,) = told[3]
    told[3] = {text: 0.9, text.replace(text[0], "7" if text[0] != "7" else "1", 1): 0.05}
    (row,) = rows_of(batch_of(form, [sheet]), ToldReader(told))
    assert row.status is Status.OK, row.message
    (again,) = Settlement(form).settle(lambda: [row])
    assert again == row


def test_boxes_left_empty_are_not_read_and_mean_what_the_field_says() -> None:
    form = Form.load(BILL)
    sheet = filled(form, 4, share_empty=1.0)
    batch = batch_of(form, [sheet])
    assert not batch.strips
    (row,) = rows_of(batch, ToldReader([]))
    fields = {each.name: each for each in row.fields}
    assert (fields["amount_01"].value, fields["pieces_02"].value) == ("0.00", "0")
    assert (fields["total"].code, fields["total"].raw) == (Code.BLANK, "_")


GRADE = """fields:
- {name: grade, cells: {origin: [30, 14], size: [7, 9], pitch: [8, 0], count: 2}}
"""


def test_cells_and_strips_of_one_page_stay_apart() -> None:
    text = Form.load(BILL).to_text().replace("fields:\n", GRADE, 1)
    form = Form.parse(text)
    sheet = filled(form, 5)
    batch = batch_of(form, [sheet])
    assert (len(batch.crops), len(batch.strips)) == (2, 10)
    (row,) = rows_of(batch, ToldReader(written(form, sheet)))
    assert {each.name: each.value for each in row.fields} == {**sheet.values, "grade": "77"}


def cells_of(form: Form, seed: int, faults: tuple[str, ...]) -> tuple[PageCells, FilledPage]:
    scan, sheet = scanned(form, faults, "moderate", seed)
    return cut_page(page_of(scan), form), sheet


@pytest.mark.parametrize("faults", [("skew",), ("turned_180",), ("perspective", "specks")])
def test_strips_are_cut_from_scans_as_bad_as_cells_are(faults: tuple[str, ...]) -> None:
    form = Form.load(BILL)
    cells, sheet = cells_of(form, 6, faults)
    plain = cut_page(page_of(scanned(form, (), "light", 6)[0]), form)
    for field_, strip, usual in zip(form.strips(1), cells.strips, plain.strips, strict=True):
        assert (strip.picture is None) == (sheet.raw[field_.name] == "_")
        if strip.picture is not None and usual.picture is not None:
            ratio = strip.picture.shape[1] / usual.picture.shape[1]
            assert 0.85 < ratio < 1.18, field_.name


def test_a_streak_through_a_strip_takes_its_certainty() -> None:
    form = Form.load(BILL)
    sheet = filled(form, 7)
    x = round(sheet.transform[0, 0] * 100 + sheet.transform[0, 2])
    sheet.grey[:, x : x + 2] = 90
    (row,) = rows_of(batch_of(form, [sheet]), ToldReader(written(form, sheet)))
    streaked = {each.name: each.confidence for each in row.fields if each.confidence < 0.9}
    assert set(streaked) == {"total", *(f"amount_0{n}" for n in range(1, 5))}


def test_random_amounts_keep_the_checks_and_fit_their_boxes() -> None:
    form = Form.load(BILL)
    for seed in range(20):
        values = random_values(form, np.random.default_rng(seed))
        parts = sum(round(100 * float(values[f"amount_0{n}"] or 0)) for n in range(1, 5))
        assert parts == round(100 * float(values["total"]))
        assert all(len(values[f"pieces_0{n}"]) <= 3 for n in range(1, 5))
