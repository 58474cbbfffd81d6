"""From probabilities to rows: readings, fields, statuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inkmill.codes import EMPTY_CELL, UNREAD_CELL, Code
from inkmill.forms.field_results import Strings, build_fields, strip_readings
from inkmill.forms.reader import PageCells
from inkmill.models.manifest import BLANK, REJECT
from inkmill.records.rows import SYMBOLS, CellReading, Counts, Row
from inkmill.rules.statuses import rolled_up
from inkmill.template.form import Form
from inkmill.worker.engine.prepare import Prepared

_SYMBOLS = {BLANK: EMPTY_CELL, REJECT: UNREAD_CELL}
_EMPTY = CellReading(EMPTY_CELL, 1.0)
#: Codes of items that an engine or a worker died of: their evidence is kept.
_GIVEN_UP = (Code.CRASHED, Code.TIMEOUT, Code.QUARANTINED)


@dataclass(frozen=True, slots=True)
class ChunkRows:
    """A chunk's rows as a result object, with their counts.

    ``pictures`` are JPEGs of pages that could not be located, ``given_up`` the code and words of
    items that an engine or a worker died of; both by item number.
    """

    data: bytes
    counts: Counts
    pictures: Mapping[int, bytes] = field(default_factory=dict)
    given_up: Mapping[int, tuple[Code, str]] = field(default_factory=dict)


def given_up(outcomes: Iterable[tuple[int, Code | None, str]]) -> dict[int, tuple[Code, str]]:
    """Those of the outcomes (item, code, message) whose evidence is kept."""
    return {item: (code, words) for item, code, words in outcomes if code in _GIVEN_UP}


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns probabilities into rows; holds the model's classes and the values of some columns.

    ``confidence`` is the threshold below which a digit image goes to review; ``strips_model`` is
    the version that read numbers without cells, "" for none.
    """

    classes: tuple[str, ...]
    model: str
    precision: str
    confidence: float
    strips_model: str = ""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbol of each class in a reading."""
        return tuple(_SYMBOLS.get(name, name) for name in self.classes)

    def row(
        self,
        prepared: Prepared,
        probabilities: NDArray[np.float32],
        form: Form | None,
        strings: Sequence[Strings] = (),
    ) -> Row:
        """The row of one page; ``probabilities`` are those of its crops, (n, classes), ``strings``
        the readings of its strips.

        ``form`` is None where the page's template is not known.
        """
        row = prepared.row
        if form is None:
            return row
        row = replace(row, form=form.name, form_hash=form.hash)
        if row.code is not None:
            return replace(row, document_key=document_key(form, row))
        row = replace(row, model=self.model, precision=self.precision)
        if prepared.cells is None:  # a page of the form without fields
            return replace(row, document_key=document_key(form, row))
        if form.strips(prepared.cells.page_number):
            row = replace(row, strips_model=self.strips_model)
        return self._page(row, prepared.cells, self.readings(probabilities), strings, form)

    def readings(self, probabilities: NDArray[np.float32]) -> list[CellReading]:
        """Each crop's best reading with its confidence and runner-up."""
        if not len(probabilities):
            return []
        order = np.argpartition(-probabilities, 1, axis=1)[:, :2]
        order = np.take_along_axis(
            order, np.argsort(-np.take_along_axis(probabilities, order, 1), axis=1), 1
        )
        top = np.take_along_axis(probabilities, order, 1)
        symbols = self.symbols
        return [
            CellReading(symbols[first], confidence, tuple(each), symbols[second], runner_up)
            for (first, second), (confidence, runner_up), each in zip(
                order.tolist(), top.tolist(), self._by_symbol(probabilities), strict=True
            )
        ]

    def _by_symbol(self, probabilities: NDArray[np.float32]) -> list[list[float]]:
        """The same probabilities in the order of rows.SYMBOLS, whatever the model's classes."""
        symbols = self.symbols
        if symbols == SYMBOLS:
            as_they_are: list[list[float]] = probabilities.tolist()
            return as_they_are
        ordered = np.zeros((len(probabilities), len(SYMBOLS)), np.float32)
        for number, symbol in enumerate(symbols):
            known = symbol if symbol in SYMBOLS else UNREAD_CELL
            ordered[:, SYMBOLS.index(known)] += probabilities[:, number]
        return ordered.tolist()

    def _page(
        self,
        row: Row,
        cells: PageCells,
        readings: Sequence[CellReading],
        strings: Sequence[Strings],
        form: Form,
    ) -> Row:
        readings = [
            _EMPTY if empty else reading
            for reading, empty in zip(readings, cells.empty.tolist(), strict=True)
        ]
        number = cells.page_number
        strings = strip_readings(form, number, cells, strings)
        fields = tuple(build_fields(form, number, readings, cells, strings))
        row = replace(
            row,
            form_page=cells.page_number,
            transform=tuple(cells.registration.transform.ravel().tolist()),
            residual=cells.registration.residual,
        )
        row = rolled_up(row, fields)
        return replace(row, document_key=document_key(form, row, cells.registration.code))


def document_key(form: Form, row: Row, code: str = "") -> str:
    """The key that a document's pages have in common; ``code`` is the text of the page's code.

    A key from a side table takes precedence. Empty where there is none.
    """
    key = form.document_key
    if row.document_key or not form.has_keys:
        return row.document_key
    if key is not None and key.source == "field":
        return next((field.value for field in row.fields if field.name == key.field), "")
    if key is not None and key.source == "source":
        return key.of_text(row.source)
    return form.key_of_code(code, row.form_page or 1)
