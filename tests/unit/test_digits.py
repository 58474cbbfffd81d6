"""Digit images column by column: every item has its row, in order, with what a user sees."""

from __future__ import annotations

import numpy as np
import pytest

from inkmill.codes import Code, Status
from inkmill.imagefile.sniff import Limits
from inkmill.records import rows
from inkmill.records.chunks import Chunk, ChunkTable, Item
from inkmill.records.image_ref import JobFile
from inkmill.records.rows import Row
from inkmill.worker.engine.compose import Reader
from inkmill.worker.engine.digits import DigitBatch
from inkmill.worker.engine.prepare import Recipe
from tests.fakes import png

CLASSES = (*"0123456789", "blank", "reject")
READER = Reader(CLASSES, "ab" * 32, "bfloat16", 0.9)


def ink(seed: int) -> bytes:
    """A PNG that is a crop already: light on dark, 28 by 28."""
    return png(seed)


FILE = JobFile("f" * 64)
ITEMS = (
    Item(10, "good.png", data=ink(1), sha256="aa"),
    Item(11, "half.png", data=ink(2)[:60], sha256="bb"),
    Item(12, "gone.png", code=Code.MISSING, message="cannot be read"),
    Item(13, "unsure.png", data=ink(3), sha256="cc"),
    Item(14, "empty.png", data=b"", sha256="dd"),
    Item(15, "scribble.png", data=ink(4), sha256="ee"),
    Item(16, "keyed.png", ref=FILE, sha256=FILE.digest),
    Item(17, "paper.png", data=ink(5), sha256="gg"),
)


def batch_of(items: tuple[Item, ...]) -> DigitBatch:
    table = ChunkTable.decode(Chunk("job", 3, items).encode())
    return DigitBatch(table, Recipe(28, ()), Limits())


def probabilities(*best: tuple[str, float, str]) -> np.ndarray:
    made = np.zeros((len(best), len(CLASSES)), np.float32)
    for line, (first, confidence, second) in zip(made, best, strict=True):
        line[CLASSES.index(second)] = 1 - confidence
        line[CLASSES.index(first)] = confidence
    return made


@pytest.fixture
def answered() -> dict[str, Row]:
    batch = batch_of(ITEMS)
    batch.lose(7, (Code.CRASHED, "the engine died"))
    for number in range(len(ITEMS)):
        batch.read(number, {str(FILE): ink(6)})
    assert batch.crops.shape == (4, 28, 28)
    answer = batch.answer(
        probabilities(("7", 0.99, "1"), ("3", 0.6, "8"), ("reject", 0.8, "2"), ("blank", 0.9, "1")),
        READER,
    )
    found = rows.decode(answer.data)
    assert [row.item for row in found] == list(range(10, 18))
    assert answer.counts == rows.count(found)
    assert answer.given_up == {17: (Code.CRASHED, "the engine died")}
    return {row.source: row for row in found}


def test_a_certain_digit_is_ok(answered: dict[str, Row]) -> None:
    row = answered["good.png"]
    assert (row.status, row.code, row.digit, row.message) == (Status.OK, None, "7", "")
    assert row.confidence == pytest.approx(0.99)
    assert (row.model, row.precision, row.sha256, row.page) == (READER.model, "bfloat16", "aa", 1)


def test_an_uncertain_digit_goes_to_review_with_its_runner_up(answered: dict[str, Row]) -> None:
    row = answered["unsure.png"]
    assert (row.status, row.code, row.digit) == (Status.REVIEW, Code.LOW_CONFIDENCE, "3")
    assert row.message == "0.60, below 0.90; perhaps 8"


@pytest.mark.parametrize(
    ("source", "code"), [("scribble.png", Code.NOT_A_DIGIT), ("keyed.png", Code.BLANK)]
)
def test_what_is_no_digit_goes_to_review(answered: dict[str, Row], source: str, code: Code) -> None:
    row = answered[source]
    assert (row.status, row.code, row.digit) == (Status.REVIEW, code, "")
    assert row.confidence is not None


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("half.png", Code.TRUNCATED),
        ("gone.png", Code.MISSING),
        ("empty.png", Code.EMPTY_FILE),
        ("paper.png", Code.CRASHED),
    ],
)
def test_what_cannot_be_read_is_an_error_and_no_model_is_named(
    answered: dict[str, Row], source: str, code: Code
) -> None:
    row = answered[source]
    assert (row.status, row.code, row.digit) == (Status.ERROR, code, "")
    assert (row.confidence, row.model, row.precision) == (None, "", "")
    assert row.message


def test_an_image_without_ink_is_blank_without_asking_the_model() -> None:
    from io import BytesIO

    from PIL import Image

    white = BytesIO()
    Image.new("L", (40, 40), 255).save(white, "PNG")
    batch = batch_of((Item(0, "white.png", data=white.getvalue()),))
    batch.read(0, {})
    assert len(batch.crops) == 0
    (row,) = rows.decode(batch.answer(np.empty((0, len(CLASSES)), np.float32), READER).data)
    assert (row.status, row.code, row.confidence) == (Status.REVIEW, Code.BLANK, 1.0)


def test_a_part_of_a_chunk_keeps_its_items() -> None:
    table = ChunkTable.decode(Chunk("job", 3, ITEMS).encode()).part([0, 3])
    assert [item.source for item in table.chunk().items] == ["good.png", "unsure.png"]
