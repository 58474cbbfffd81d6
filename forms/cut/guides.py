"""Print inside the cells: guides to write along, dots, a pale digit to trace.

The cells of a page tell: they all carry the same guide, but not the same digit, so what nearly
all of them show at a place is the guide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.cells import Cuts
from inkmill.forms.cut.components import thickened

Grey = NDArray[np.uint8]

#: Cells of one size that a page needs for its guide to be learnt. With fewer, a digit that most
#: of them share could pass for print.
_LEAST_CELLS = 6
#: Cells looked at: more make the guide no surer, and a full page slower.
_MOST_CELLS = 20
#: Print is what at least three quarters of the cells show, a pixel more or less.
_QUANTILE = 0.25
#: A guide is fainter than this part of the page's usual ink; what is darker may be writing.
_FAINTER = 0.62
#: Guides fainter than so many levels need no removal: no ink begins that faint.
_LEAST_GUIDE = 6
#: Away from the box's lines, which every cell has and which are removed as lines.
_INNER = 0.12


def learnt(cuts: Cuts, page_ink: float) -> Grey | None:
    """The guide in cells of one size, uint8 (height, width), in levels of darkness; else None.

    ``page_ink`` is how dark ink is on the page.
    """
    if len(cuts) < _LEAST_CELLS:
        return None
    thick = thickened(cuts.dark[:: max(1, len(cuts) // _MOST_CELLS)], 3)
    rank = int(_QUANTILE * len(thick))
    # A count is quicker than the rank, and leaves few places where the rank matters.
    shown = np.add.reduce(thick >= _LEAST_GUIDE, axis=0, dtype=np.uint8)
    rows, columns = np.nonzero(shown >= len(thick) - rank)
    guide = np.zeros(thick.shape[1:], np.uint8)
    common = np.partition(thick[:, rows, columns], rank, axis=0)[rank]
    guide[rows, columns] = np.where(common > _FAINTER * page_ink, 0, common)
    return guide if guide[cuts.within(_INNER)[1:]].any() else None
