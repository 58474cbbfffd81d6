"""Print inside the cells: guides to write along, dots, a pale digit to trace.

It is learnt from the cells of a page: they all have the same guide but not the same digit, so what
nearly all of them show at a place is the guide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels
from inkmill.forms.cut.cells import Cuts
from inkmill.forms.cut.components import thickened

Grey = NDArray[np.uint8]

#: Least number of cells of one size for learning their guide. With fewer, a digit that most of
#: them share could pass for print.
_LEAST_CELLS = 6
#: Cells used: more do not make the guide more certain, but slow down a full page.
_MOST_CELLS = 20
#: Print is what at least three quarters of the cells show, within a pixel.
_QUANTILE = 0.25
#: A guide is fainter than this part of the page's usual ink; darker pixels may be writing.
_FAINTER = 0.62
#: Guides fainter than this many levels need no removal: no ink is that faint.
_LEAST_GUIDE = 6
#: Distance from the box's lines, which every cell has and which are removed separately.
_INNER = 0.12


def learnt(cuts: Cuts, page_ink: float) -> Grey | None:
    """The guide in cells of one size, uint8 (height, width), in levels of darkness; None if none.

    ``page_ink`` is how dark ink is on the page.
    """
    if len(cuts) < _LEAST_CELLS:
        return None
    thick = thickened(cuts.dark[:: max(1, len(cuts) // _MOST_CELLS)], 3)
    rank = int(_QUANTILE * len(thick))
    guide = np.zeros(thick.shape[1:], np.uint8)
    if kernels.enabled():
        from inkmill.forms.kernels.levels import common_print

        most = int(min(_FAINTER * page_ink, 255))
        common_print(np.ascontiguousarray(thick), rank, _LEAST_GUIDE, most, guide)
        return guide if guide[cuts.within(_INNER)[1:]].any() else None
    # Counting is faster than ranking, and leaves few places where the rank matters.
    shown = np.add.reduce(thick >= _LEAST_GUIDE, axis=0, dtype=np.uint8)
    rows, columns = np.nonzero(shown >= len(thick) - rank)
    common = np.partition(thick[:, rows, columns], rank, axis=0)[rank]
    guide[rows, columns] = np.where(common > _FAINTER * page_ink, 0, common)
    return guide if guide[cuts.within(_INNER)[1:]].any() else None
