"""A chunk in an engine's hands: its items on their way to rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.field_results import Strings
from inkmill.models.predictor import Predictor
from inkmill.models.strips import ReadsStrips
from inkmill.worker.engine.compose import ChunkRows, Reader
from inkmill.worker.engine.prepare import Crops, Verdict
from inkmill.worker.engine.stages import Stages


class ItemBatch(Protocol):
    """The items of a chunk on their way to rows: digit images or pages of a form."""

    @property
    def crops(self) -> Crops:
        """The input of the model, uint8 (n, size, size)."""
        ...

    @property
    def strips(self) -> Sequence[Crops]:
        """The numbers without cells, for their own model: uint8 (height, width) each."""
        ...

    def lose(self, number: int, verdict: Verdict) -> None:
        """An item that is not to be read; its row says why."""
        ...

    def read(self, number: int, blobs: Mapping[str, bytes]) -> None:
        """Decode and cut an item; ``blobs`` are images by key. Never raises for bad input."""
        ...

    def answer(
        self, probabilities: NDArray[np.float32], reader: Reader, strings: Sequence[Strings] = ()
    ) -> ChunkRows:
        """The chunk's rows; ``probabilities`` are those of ``crops``, (n, classes), ``strings`` the
        readings of ``strips``."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk in hand: its request, items, models and crops, when it was begun, and its stages.

    ``asked`` is the precision that its job is pinned to, or ANY_PRECISION, for the device.
    """

    request: int
    single: bool
    predictor: Predictor
    asked: str
    strip_reader: ReadsStrips | None
    strips_version: str
    batch: ItemBatch
    crops: Crops
    started: float
    stages: Stages
