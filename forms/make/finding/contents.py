"""What is written or printed in a box: nothing, handwriting, or print, which makes it a heading.

Print repeats itself: letters of a line have one baseline, and the figures of a printed column are
at the same height in every box. Writers manage neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.make.finding.lines import Box

Grey = NDArray[np.uint8]

#: A box with a larger share of dark pixels inside is not empty.
_EMPTY = 0.012
#: The part of a box that is left out around its lines.
_MARGIN = 0.14
#: Glyphs lower than this part of the box are specks, points and commas.
_SPECK = 0.1
#: Glyphs of a printed line differ in height by at most this ratio; their baselines by this part of
#: their height; at least this share of a box's glyphs stand on such lines.
_ALIKE, _BASELINE, _MOST = 1.7, 0.1, 0.6
#: Figures of a printed column or row are at one height up to this part of the box, in so many boxes
#: at least.
_SAME_HEIGHT, _REPEATED = 0.015, 5


@dataclass(frozen=True)
class Contents:
    """The ink in a box.

    ``empty`` says there is none; ``top`` and ``bottom`` are where it is, 0 to 1 of the box;
    ``line`` whether it is two or more glyphs on a baseline, and how many there are: ``glyphs``;
    ``through`` whether it goes from the upper lines to the lower ones, as a cross does.
    """

    empty: bool
    top: float = 0.0
    bottom: float = 1.0
    glyphs: int = 0
    line: bool = False
    through: bool = False


def contents(solid: Grey, box: Box) -> Contents:
    """What is in a box, by the mask (0 or 255) of a page's dark pixels."""
    x, y, w, h = box
    margin = max(2.0, _MARGIN * min(w, h))
    left, top = round(x + margin), round(y + margin)
    inside = solid[max(0, top) : round(y + h - margin), max(0, left) : round(x + w - margin)]
    if not inside.size or float(cv2.mean(inside)[0]) <= _EMPTY * 255:
        return Contents(True)
    stats = cv2.connectedComponentsWithStats(np.ascontiguousarray(inside))[2][1:]
    stats = stats[stats[:, 3] >= _SPECK * min(w, h)]
    if not len(stats):
        return Contents(True)
    tops, bottoms = stats[:, 1], stats[:, 1] + stats[:, 3]
    return Contents(
        False,
        (top + float(tops.min()) - y) / h,
        (top + float(bottoms.max()) - y) / h,
        len(stats),
        _on_a_line(stats[:, 3], bottoms),
        bool(tops.min() == 0 and bottoms.max() == len(inside)),
    )


def _on_a_line(heights: NDArray[np.int32], bottoms: NDArray[np.int32]) -> bool:
    """Whether most glyphs stand on baselines, as letters of a printed line do."""
    usual = float(np.median(heights))
    like = (heights < _ALIKE * usual) & (heights * _ALIKE > usual)
    places = np.sort(bottoms[like])
    if len(places) < 2:
        return False
    # Lines of print are further apart than half a letter.
    lines = np.split(places, np.flatnonzero(np.diff(places) > 0.5 * usual) + 1)
    standing = sum(
        len(line)
        for line in lines
        if len(line) > 1 and float(np.abs(line - np.median(line)).mean()) < _BASELINE * usual
    )
    return standing >= _MOST * len(heights)


def repeated(group: Sequence[Contents]) -> bool:
    """Whether the boxes of a column or row have ink at one height: print, not handwriting."""
    inked = [each for each in group if not each.empty]
    # Print stays away from the lines.
    if len(inked) < _REPEATED or any(each.through for each in inked):
        return False
    spread = np.std([[each.top, each.bottom] for each in inked], axis=0)
    return bool((spread < _SAME_HEIGHT).all())
