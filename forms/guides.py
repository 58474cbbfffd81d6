"""Print inside the cells: guides to write along, dots, a pale digit to trace.

The cells of a page tell: they all carry the same guide, but not the same digit, so what nearly
all of them show at a place is the guide.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cells import Cut

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
_ABOUT = np.ones((3, 3), np.uint8)


def learnt(cuts: Sequence[Cut], page_ink: float) -> list[Grey | None]:
    """The guide in each cell, uint8 of its cut's shape, in levels of darkness; None for none.

    ``page_ink`` is how dark ink is on the page.
    """
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, cut in enumerate(cuts):
        by_shape.setdefault(cut.grey.shape, []).append(number)
    guides: list[Grey | None] = [None] * len(cuts)
    for numbers in _alike(by_shape):
        if len(numbers) < _LEAST_CELLS:
            continue
        shape = cuts[numbers[0]].grey.shape
        some = numbers[:: max(1, len(numbers) // _MOST_CELLS)]
        thick = [cv2.dilate(cuts[number].dark, _ABOUT) for number in some]
        stack = np.stack([_to_shape(np.asarray(each, np.uint8), shape) for each in thick])
        rank = int(_QUANTILE * len(stack))
        common = np.partition(stack, rank, axis=0)[rank]
        common[common > _FAINTER * page_ink] = 0
        inside = _inside(common, cuts[numbers[0]])
        if inside.size == 0 or int(inside.max()) < _LEAST_GUIDE:
            continue
        for number in numbers:
            guides[number] = _to_shape(common, cuts[number].grey.shape)
    return guides


def _alike(by_shape: dict[tuple[int, ...], list[int]]) -> list[list[int]]:
    """Cells whose cuts differ by two pixels at most, as perspective makes them, together."""
    groups: list[tuple[tuple[int, ...], list[int]]] = []
    for shape, numbers in sorted(by_shape.items()):
        for first, members in groups:
            if abs(first[0] - shape[0]) <= 2 and abs(first[1] - shape[1]) <= 2:
                members += numbers
                break
        else:
            groups.append((shape, list(numbers)))
    return [sorted(members) for _, members in groups]


def _to_shape(picture: Grey, shape: tuple[int, ...]) -> Grey:
    if picture.shape == shape:
        return picture
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _inside(picture: Grey, cut: Cut) -> Grey:
    """Away from the box's lines, which every cell has and which are removed as lines."""
    across, down = 0.12 * (cut.right - cut.left), 0.12 * (cut.bottom - cut.top)
    return picture[
        round(cut.top + down) : round(cut.bottom - down),
        round(cut.left + across) : round(cut.right - across),
    ]
