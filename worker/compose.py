"""From probabilities to rows: readings, fields, statuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code, Status, worst
from inkmill.form import Form
from inkmill.forms.rules import build_fields
from inkmill.models.manifest import BLANK, REJECT
from inkmill.rows import CellReading, Row
from inkmill.worker.prepare import Prepared

_SYMBOLS = {BLANK: EMPTY_CELL, REJECT: UNREAD_CELL}
_EMPTY = CellReading(EMPTY_CELL, 1.0)


@dataclass(frozen=True, slots=True)
class Reader:
    """What turns probabilities into rows: the model's classes and names for the columns.

    ``confidence`` is the least confidence of a digit image that is not sent to review.
    """

    classes: tuple[str, ...]
    model: str
    precision: str
    confidence: float

    def row(self, prepared: Prepared, probabilities: NDArray[np.float32], form: Form | None) -> Row:
        """The row of one item; ``probabilities`` are those of its crops, (n, classes)."""
        if prepared.row.code is not None:
            return replace(prepared.row, form=form.name if form else "")
        readings = self.readings(probabilities)
        row = replace(prepared.row, model=self.model, precision=self.precision)
        if form is None or prepared.cells is None:
            return self._digit(row, readings)
        return self._page(row, prepared, readings, form)

    def readings(self, probabilities: NDArray[np.float32]) -> list[CellReading]:
        """Each crop's best reading with its confidence and runner-up."""
        if not len(probabilities):
            return []
        order = np.argpartition(-probabilities, 1, axis=1)[:, :2]
        order = np.take_along_axis(
            order, np.argsort(-np.take_along_axis(probabilities, order, 1), axis=1), 1
        )
        top = np.take_along_axis(probabilities, order, 1)
        return [
            CellReading(
                self._symbol(first), confidence, tuple(each), self._symbol(second), runner_up
            )
            for (first, second), (confidence, runner_up), each in zip(
                order.tolist(), top.tolist(), probabilities.tolist(), strict=True
            )
        ]

    def _symbol(self, number: int) -> str:
        name = self.classes[number]
        return _SYMBOLS.get(name, name)

    def _digit(self, row: Row, readings: Sequence[CellReading]) -> Row:
        reading = readings[0] if readings else _EMPTY
        if reading.symbol == EMPTY_CELL:
            return self._review(row, reading, Code.BLANK, "the image holds no digit")
        if reading.symbol == UNREAD_CELL:
            return self._review(row, reading, Code.NOT_A_DIGIT, "what is written is no digit")
        row = replace(row, digit=reading.symbol, confidence=reading.confidence)
        if reading.confidence < self.confidence:
            message = f"{reading.confidence:.2f}, below {self.confidence:.2f}; "
            message += f"perhaps {reading.runner_up}"
            return replace(row, status=Status.REVIEW, code=Code.LOW_CONFIDENCE, message=message)
        return row

    def _review(self, row: Row, reading: CellReading, code: Code, message: str) -> Row:
        return replace(
            row,
            status=Status.REVIEW,
            code=code,
            message=message,
            confidence=reading.confidence,
        )

    def _page(
        self, row: Row, prepared: Prepared, readings: Sequence[CellReading], form: Form
    ) -> Row:
        cells = prepared.cells
        if cells is None:
            raise AssertionError("a form page has cells")
        readings = [
            _EMPTY if empty else reading
            for reading, empty in zip(readings, cells.empty.tolist(), strict=True)
        ]
        fields = tuple(build_fields(form, cells.page_number, readings, cells))
        status = worst([field.status for field in fields])
        first = next((field for field in fields if field.status is status), None)
        flagged = first if status is not Status.OK else None
        return replace(
            row,
            key=document_key(form, row),
            form=form.name,
            fields=fields,
            status=status,
            code=flagged.code if flagged else None,
            message=f"{flagged.name}: {flagged.message}" if flagged else "",
            confidence=min((field.confidence for field in fields), default=None),
            transform=tuple(cells.registration.transform.ravel().tolist()),
            residual=cells.registration.residual,
        )


def document_key(form: Form, row: Row) -> str:
    """The key under which a document's pages belong together."""
    key = form.document_key
    if key is None:
        return ""
    if key.source == "field":
        return next((field.value for field in row.fields if field.name == key.field), "")
    return key.of_text(row.source)
