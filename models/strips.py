"""Strips to numbers: the k best strings that a strip may say, with calibrated probabilities.

A strip is a line of handwriting without cells, as ``inkmill.forms.cut.strip`` normalises it. What
is read is a string as a whole, its length included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

#: Symbols that a strip reader knows beside the digits. SEPARATOR stands for a point or a comma
#: wherever it is (people write one for the other); DASH for a dash, or two above each other, as
#: they close an amount; CROSS for an X; CURRENCY for a currency sign.
SEPARATOR, DASH, CROSS, CURRENCY = ".", "-", "X", "$"
#: Most hypotheses that are given for a strip.
MOST_HYPOTHESES = 20


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a strip may say: digits and the symbols above, as written from left to right.

    ``probability`` is calibrated: of all strings given with 0.9, nine in ten are right.
    """

    text: str
    probability: float


class ReadsStrips(Protocol):
    """A reader of strips: ``StripReader``, or a fake of it in tests."""

    def read(self, strips: Sequence[Grey]) -> list[list[Hypothesis]]:
        """The hypotheses of each strip, the most probable first.

        ``strips`` are uint8 (HEIGHT, width), white ink on black, from ``normalise_strip``. For
        each there are at most ``MOST_HYPOTHESES``, each text once and none of them empty; the
        probabilities sum to at most 1. The rest is that of none of these: another string, no
        number at all, letters, something crossed out. Batch in equals batch out, in order.

        Raises UsageError for an array of another shape or type.
        """
        ...
