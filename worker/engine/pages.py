"""Chunks of form pages: from bytes to crops, from probabilities to rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.field_results import Strings
from inkmill.imagefile.sniff import Limits
from inkmill.records import rows
from inkmill.records.chunks import ChunkTable
from inkmill.records.rows import Row
from inkmill.template.templates import Templates
from inkmill.worker.engine.compose import ChunkRows, Reader, given_up
from inkmill.worker.engine.prepare import Crops, Prepared, Recipe, Verdict, prepare
from inkmill.worker.engine.stages import Stages


class PageBatch:
    """The pages of a chunk: each is read or lost, then all are answered together."""

    def __init__(
        self,
        table: ChunkTable,
        templates: Templates,
        recipe: Recipe,
        limits: Limits,
        stages: Stages | None = None,
    ) -> None:
        self._stages = stages or Stages()
        self._items = list(table.chunk().items)
        self._templates = templates
        self._recipe = recipe
        self._limits = limits
        self._prepared: list[Prepared] = []

    @property
    def crops(self) -> Crops:
        """The crops of all pages, uint8 (n, size, size)."""
        size = self._recipe.size
        none = np.empty((0, size, size), np.uint8)
        return np.concatenate([none, *(each.crops for each in self._prepared)])

    @property
    def strips(self) -> Sequence[Crops]:
        """The numbers without cells in which something is written, page by page."""
        return [strip for each in self._prepared for strip in each.strips]

    def lose(self, number: int, verdict: Verdict) -> None:
        """A page that is not to be read; its row says why."""
        code, message = verdict
        self._items[number] = replace(self._items[number], code=code, message=message)

    def read(self, number: int, blobs: Mapping[str, bytes]) -> None:
        """Decode, register and cut a page. Never raises for bad input: its row has its code."""
        item = self._items[number]
        data = blobs[str(item.ref)] if item.ref and item.code is None else item.data
        self._prepared.append(
            prepare(item, data, self._templates, self._recipe, self._limits, self._stages)
        )

    def answer(
        self, probabilities: NDArray[np.float32], reader: Reader, strings: Sequence[Strings] = ()
    ) -> ChunkRows:
        """The chunk's rows; ``probabilities`` are those of ``crops``, (n, classes), ``strings`` the
        readings of ``strips``."""
        answers: list[Row] = []
        start, left = 0, iter(strings)
        for prepared in self._prepared:
            end = start + len(prepared.crops)
            mine = list(islice(left, len(prepared.strips)))
            answers.append(reader.row(prepared, probabilities[start:end], prepared.form, mine))
            start = end
        return ChunkRows(
            rows.encode(answers),
            rows.count(answers),
            {each.row.item: each.picture for each in self._prepared if each.picture},
            given_up((row.item, row.code, row.message) for row in answers),
        )
