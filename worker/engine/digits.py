"""Chunks of digit images, column by column: from bytes to crops, from probabilities to rows.

A page of a form may cost an object for its row and for each of its cells. A digit image takes 150
microseconds from bytes to digit, and those objects would be 40 of them; so here the chunk's columns
become the rows' columns, and only rows that are not ok are handled one by one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, Status
from inkmill.forms.cut.normalise import normalise
from inkmill.forms.field_results import Strings
from inkmill.forms.intake import decode_page
from inkmill.imagefile.sniff import Limits
from inkmill.records import rows
from inkmill.records.chunks import ChunkTable
from inkmill.records.rows import MARKS, Counts
from inkmill.worker.engine.compose import ChunkRows, Reader, given_up
from inkmill.worker.engine.prepare import Crops, Recipe, Verdict, verdict_on
from inkmill.worker.engine.stages import Stages
from inkmill.worker.link import CUT, DECODE

_BLANK = (Code.BLANK, "the image is empty")
_NO_DIGIT = (Code.NOT_A_DIGIT, "the ink is not a digit")


class DigitBatch:
    """The digit images of a chunk: each is read or lost, then all are answered together."""

    def __init__(
        self, table: ChunkTable, recipe: Recipe, limits: Limits, stages: Stages | None = None
    ) -> None:
        self._stages = stages or Stages()
        self._table = table
        self._recipe = recipe
        self._limits = limits
        self._data = table.column("data")
        self._refs = table.column("ref")
        self._pages = table.column("page")
        # Crops are written where the model reads them; not every item gives one.
        self._room: Crops = np.empty((len(table), recipe.size, recipe.size), np.uint8)
        self._places: list[int] = []
        self._lost: dict[int, Verdict] = table.verdicts()

    @property
    def crops(self) -> Crops:
        """The crops of all items that gave one, uint8 (n, size, size)."""
        return self._room[: len(self._places)]

    @property
    def strips(self) -> Sequence[Crops]:
        """None: a digit image holds one digit."""
        return ()

    def read(self, number: int, blobs: Mapping[str, bytes]) -> None:
        """Decode an item. Never raises for bad input: its row will say what is wrong."""
        if number in self._lost:
            return
        ref, began = self._refs[number], time.perf_counter()
        try:
            data = blobs[ref] if ref else self._data[number]
            page = decode_page(data, self._pages[number], self._limits)
            began = self._stages.add(DECODE, began)
            crop = normalise(page.grey, self._recipe.size, self._recipe.filters)
            self._stages.add(CUT, began)
        except Exception as error:
            self.lose(number, verdict_on(error))
            return
        if crop is not None:
            self._room[len(self._places)] = crop
            self._places.append(number)

    def lose(self, number: int, verdict: Verdict) -> None:
        """An item that is not to be read; its row says why."""
        self._lost[number] = verdict

    def answer(
        self, probabilities: NDArray[np.float32], reader: Reader, _: Sequence[Strings] = ()
    ) -> ChunkRows:
        """The chunk's rows; ``probabilities`` are those of ``crops``, (n, classes)."""
        columns = _Columns(len(self._table), reader)
        columns.read(np.array(self._places, np.intp), probabilities)
        for number, verdict in self._lost.items():
            columns.lost(number, verdict)
        for number in set(range(len(self._table))).difference(self._places, self._lost):
            columns.review(number, _BLANK, 1.0)
        items = self._table.column("item")
        return ChunkRows(
            rows.encode_columns({**self._table.identity(), **columns.arrays()}, len(self._table)),
            columns.counts(),
            given_up=given_up((items[number], *lost) for number, lost in self._lost.items()),
        )


class _Columns:
    """The columns that reading adds to a chunk; every row starts as ok and empty."""

    def __init__(self, count: int, reader: Reader) -> None:
        self._reader = reader
        self._status: list[str] = [Status.OK] * count
        self._code: list[str | None] = [None] * count
        self._message = [""] * count
        self._digit = [""] * count
        self._confidence: list[float | None] = [None] * count
        self._model = [reader.model] * count
        self._precision = [reader.precision] * count

    def read(self, places: NDArray[np.intp], probabilities: NDArray[np.float32]) -> None:
        """The readings of the rows at ``places``."""
        symbols, threshold = self._reader.symbols, self._reader.confidence
        best, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
        for place, number, confidence in zip(
            places.tolist(), best.tolist(), confidences.tolist(), strict=True
        ):
            self._digit[place] = symbols[number]
            self._confidence[place] = confidence
        no_digit = np.array([each in (EMPTY_CELL, UNREAD_CELL, *MARKS) for each in symbols])
        for crop in np.flatnonzero(no_digit[best] | (confidences < threshold)).tolist():
            self._read_closely(int(places[crop]), probabilities[crop])

    def _read_closely(self, place: int, probabilities: NDArray[np.float32]) -> None:
        """A row that is not simply ok."""
        second, first = np.argsort(probabilities)[-2:].tolist()
        confidence = float(probabilities[first])
        symbols = self._reader.symbols
        if symbols[first] == EMPTY_CELL:
            return self.review(place, _BLANK, confidence)
        if symbols[first] in (UNREAD_CELL, *MARKS):
            return self.review(place, _NO_DIGIT, confidence)
        message = f"{confidence:.2f}, below {self._reader.confidence:.2f}; "
        message += f"perhaps {symbols[second]}"
        return self.review(place, (Code.LOW_CONFIDENCE, message), confidence, symbols[first])

    def review(self, place: int, why: Verdict, confidence: float, digit: str = "") -> None:
        """A row that goes to review."""
        self._status[place] = Status.REVIEW
        self._code[place], self._message[place] = why
        self._digit[place], self._confidence[place] = digit, confidence

    def lost(self, place: int, why: Verdict) -> None:
        """A row of an item that could not be read: no model saw it."""
        self._status[place] = Status.ERROR
        self._code[place], self._message[place] = why
        self._model[place] = self._precision[place] = ""

    def arrays(self) -> dict[str, list[Any]]:
        return {
            "status": self._status,
            "code": self._code,
            "message": self._message,
            "digit": self._digit,
            "confidence": self._confidence,
            "model": self._model,
            "precision": self._precision,
        }

    def counts(self) -> Counts:
        return Counts.of(Counter(self._status), Counter(filter(None, self._code)))
