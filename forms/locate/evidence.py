"""Evidence for a transform: the printed boxes of the cells.

A correct transform maps the cells' outlines onto printed lines, and their near inside and outside
onto paper (with some handwriting). Upside down, or on another form, it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply
from inkmill.forms.locate.overview import Overview
from inkmill.template.form import Form

#: Places sampled along each side of a box.
_ALONG = np.linspace(0.12, 0.88, 7)
#: Distance of the rings inside and outside a box that are compared with its outline, as a part of
#: the box: near, since forms print guides further inside and other boxes further out.
_ASIDE = 0.15
#: Cells sampled for a first look at a hypothesis.
_GLANCE = 16


@dataclass(frozen=True)
class Outlines:
    """Places on the printed boxes of a page, and beside them, in template units.

    ``edge`` float64 (n, 2); ``aside`` (2 n, 2), first inside, then outside; ``group`` int (n,) is
    the number of the place's field on the page; ``extent`` float64 (fields, 2) is the width and
    height of a field's cells.
    """

    edge: Points
    aside: Points
    group: NDArray[np.int64]
    extent: Points

    @classmethod
    def of(cls, form: Form, page_number: int) -> Outlines:
        """The outlines of all fields whose boxes are printed; cached for recently used forms."""
        key = (form.hash, page_number)
        if key not in _KNOWN:
            while len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.pop(next(iter(_KNOWN)), None)
            _KNOWN[key] = cls._of(form, page_number)
        return _KNOWN[key]

    @classmethod
    def _of(cls, form: Form, page_number: int) -> Outlines:
        edge, inside, outside, group = [], [], [], []
        lined = form.registration_of(page_number).lines
        fields = form.page_fields(page_number)
        extent = np.array([field.cells.rectangles()[0][2:] for field in fields]).reshape(-1, 2)
        for number, field in enumerate(fields):
            if not (lined and field.lined and field.type != "image"):
                continue
            for x, y, w, h in field.cells.rectangles():
                edge.append(_ring(x, y, w, h, 0.0))
                inside.append(_ring(x, y, w, h, _ASIDE))
                outside.append(_ring(x, y, w, h, -_ASIDE))
                group.append(np.full(4 * len(_ALONG), number))
        if not edge:
            nothing = np.empty((0, 2))
            return cls(nothing, nothing, np.empty(0, np.int64), extent)
        aside = np.vstack(inside + outside)
        return cls(np.vstack(edge), aside, np.concatenate(group), extent)

    def __len__(self) -> int:
        return len(self.edge)

    @cached_property
    def places(self) -> Points:
        """The edges, then the places aside."""
        return np.vstack([self.edge, self.aside])

    def thinned(self, most: int) -> Outlines:
        """The outlines of at most ``most`` cells, spread over the page: for a first look."""
        each = 4 * len(_ALONG)
        count = len(self.edge) // each
        if count <= most:
            return self
        rings = np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
        chosen = (rings[:, None] * each + np.arange(each)[::2]).ravel()
        aside = np.concatenate([chosen, chosen + len(self.edge)])
        return Outlines(self.edge[chosen], self.aside[aside], self.group[chosen], self.extent)

    @cached_property
    def rings(self) -> NDArray[np.float64]:
        """Places on edges as (cells, sides, along, 2); the sides are top, bottom, left, right."""
        return self.edge.reshape(-1, 4, len(_ALONG), 2)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """The group of each cell."""
        return self.group[:: 4 * len(_ALONG)]

    @cached_property
    def membership(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The groups, int (g,), and their cells' weights, (g, cells): a product gives means."""
        groups, index = np.unique(self.owner, return_inverse=True)
        members = np.zeros((len(groups), len(self.owner)))
        members[index, np.arange(len(self.owner))] = 1.0
        return groups, members / members.sum(axis=1, keepdims=True)

    @cached_property
    def glance(self) -> Outlines:
        """A few cells' outlines, spread over the page: for a first look."""
        return self.thinned(_GLANCE)

    @cached_property
    def by_cell(self) -> Outlines:
        """The same with every cell as a group: shows a row's tilt, which its place does not."""
        each = 4 * len(_ALONG)
        count = len(self.edge) // each
        extent = self.extent[self.group[::each]]
        return Outlines(self.edge, self.aside, np.repeat(np.arange(count), each), extent)


#: Outlines by form hash and page: they depend on nothing else, and take longer than a page.
_KNOWN: dict[tuple[str, int], Outlines] = {}
_MOST_KNOWN = 64


def _ring(x: float, y: float, w: float, h: float, inset: float) -> Points:
    left, right = x + inset * w, x + w - inset * w
    top, bottom = y + inset * h, y + h - inset * h
    across, down = left + _ALONG * (right - left), top + _ALONG * (bottom - top)
    same = np.ones_like(across)
    return np.vstack(
        [
            np.column_stack([across, same * top]),
            np.column_stack([across, same * bottom]),
            np.column_stack([same * left, down]),
            np.column_stack([same * right, down]),
        ]
    )


def near_lines(overview: Overview, reach: int) -> NDArray[np.uint8]:
    """1 where a line lies within ``reach`` pixels, else 0."""
    if reach not in overview.near:
        side = 2 * reach + 1
        thick = cv2.dilate(overview.lines, np.ones((side, side), np.uint8))
        overview.near[reach] = np.asarray(cv2.min(thick, 1), np.uint8)
    return overview.near[reach]


def seen_lines(outlines: Outlines, transform: Matrix, near: NDArray[np.uint8]) -> float:
    """How certainly the boxes are where ``transform`` puts them: 1, or about 0 by chance.

    The share of the outline that lies on lines, less that share of the rings beside it.
    """
    if not len(outlines):
        return 0.0
    hits = _hits(outlines.places, transform, near)
    count = len(outlines)
    return float(cv2.mean(hits[:count])[0] - cv2.mean(hits[count:])[0])


def _hits(points: Points, transform: Matrix, near: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 for each point on a line, else 0; 0 outside the picture too."""
    places = np.nan_to_num(apply(transform, points), nan=-9.0, posinf=-9.0, neginf=-9.0)
    maps = np.clip(places, -9.0, 30_000.0).astype(np.float32)
    hits = cv2.remap(
        near, maps[:, :1], maps[:, 1:], cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT
    )
    return np.asarray(hits, np.uint8)
