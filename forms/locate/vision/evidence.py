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

from inkmill.forms import kernels
from inkmill.forms.geometry import Matrix, Points, apply, contiguous
from inkmill.forms.locate.vision.blocks import Blocks, find_blocks
from inkmill.forms.locate.vision.lookup import values_at
from inkmill.forms.locate.vision.overview import Overview
from inkmill.template.form import Form

Bools = NDArray[np.bool_]

#: Places sampled along each side of a box.
_ALONG = np.linspace(0.12, 0.88, 7)
#: Distance of the rings inside and outside a box that are compared with its outline, as a part of
#: the box: near, since forms print guides further inside and other boxes further out.
_ASIDE = 0.15
#: The same for check boxes, which may be ten pixels wide.
_ASIDE_SMALL = 0.35
#: Cells sampled for a first look at a hypothesis.
_GLANCE = 16
#: A cell is on its printed lines if this part of its level and of its upright sides is found, and a
#: field if this part of each side is: of what is usual on the page (scans may be faint), and in any
#: case.
_OF_USUAL, _IN_ANY_CASE = 0.4, 0.25


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
            aside = _ASIDE_SMALL if field.type == "checkbox" else _ASIDE
            for x, y, w, h in field.cells.rectangles():
                edge.append(_ring(x, y, w, h, 0.0))
                inside.append(_ring(x, y, w, h, aside))
                outside.append(_ring(x, y, w, h, -aside))
                group.append(np.full(4 * len(_ALONG), number))
        if not edge:
            nothing = np.empty((0, 2))
            return cls(nothing, nothing, np.empty(0, np.int64), extent)
        beside = np.vstack(inside + outside)
        return cls(np.vstack(edge), beside, np.concatenate(group), extent)

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
    def groups(self) -> NDArray[np.int64]:
        """The numbers of the groups that have cells, int (g,)."""
        return np.unique(self.owner)

    @property
    def each_alone(self) -> bool:
        """Whether each cell is a group of its own, in the groups' order."""
        return np.array_equal(self.groups, self.owner)

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each group the mean of its cells' ``values``, float64 (cells, ...)."""
        if self.each_alone:
            return values
        flat = values.reshape(len(values), -1) if values.ndim > 2 else values
        means = self.membership[1] @ flat
        return np.asarray(means, np.float64).reshape(-1, *values.shape[1:])

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

    def by_run(self, most: int) -> Outlines:
        """The same with runs of at most ``most`` cells of a field as groups: shows how it bends."""
        each, owner = 4 * len(_ALONG), self.owner
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        lengths = np.diff(starts, append=len(owner))
        places = np.arange(len(owner)) - np.repeat(starts, lengths)
        begins = places % most == 0
        runs = np.cumsum(begins) - 1
        extent = self.extent[owner[begins]]
        return Outlines(self.edge, self.aside, np.repeat(runs, each), extent)

    def moved(self, shifts: Points) -> Outlines:
        """The outlines with each cell moved by its row of ``shifts``, float64 (cells, 2)."""
        each = 4 * len(_ALONG)
        edge = self.edge + np.repeat(shifts, each, axis=0)
        aside = self.aside + np.repeat(np.vstack([shifts, shifts]), each, axis=0)
        moved = Outlines(edge, aside, self.group, self.extent)
        # The same wherever the cells are, so not calculated again for each page.
        known: dict[str, object] = {"owner": self.owner, "groups": self.groups}
        if not self.each_alone:
            known["membership"] = self.membership
        moved.__dict__.update(known)
        return moved

    @cached_property
    def blocks(self) -> Blocks:
        """The cells in blocks that look the same one step away."""
        return find_blocks(self.middles, self.extent[self.owner])

    @cached_property
    def middles(self) -> Points:
        """The middle of each cell, float64 (cells, 2)."""
        return np.asarray(self.rings.mean(axis=(1, 2)), np.float64)


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
    if reach == 1:
        return overview.beside_line
    if reach not in overview.near:
        side = 2 * reach + 1
        thick = cv2.dilate(overview.lines, np.ones((side, side), np.uint8))
        ones = cv2.threshold(thick, 0, 1, cv2.THRESH_BINARY)[1]
        overview.near[reach] = np.asarray(ones, np.uint8)
    return overview.near[reach]


def seen_lines(outlines: Outlines, transform: Matrix, near: NDArray[np.uint8]) -> float:
    """How certainly the boxes are where ``transform`` puts them: 1, or about 0 by chance.

    The share of the outline that lies on lines, less that share of the rings beside it.
    """
    if not len(outlines):
        return 0.0
    return _evidence(hits_of(outlines.places, transform, near), len(outlines))


def _evidence(hits: NDArray[np.uint8], count: int) -> float:
    """The share of the first ``count`` hits, those on outlines, less that of the others."""
    return float(cv2.mean(hits[:count])[0] - cv2.mean(hits[count:])[0])


def glanced_at(outlines: Outlines, transform: Matrix, overview: Overview, reach: int) -> float:
    """`seen_lines` of a few cells, for lines within ``reach`` pixels: a first look.

    Looking around each place takes less time than thickening all lines of the page.
    """
    if not kernels.enabled():
        return seen_lines(outlines.glance, transform, near_lines(overview, reach))
    from inkmill.forms.kernels.places import look_around

    places = outlines.glance.places
    hits = np.empty((len(places), 1), np.uint8)
    look_around(*contiguous(transform, places), overview.lines, reach, hits)
    return _evidence(hits, len(outlines.glance))


def sides_seen(outlines: Outlines, transform: Matrix, near: NDArray[np.uint8]) -> Points:
    """The share of each cell's top, bottom, left and right on lines, float64 (cells, 4)."""
    hits = hits_of(outlines.edge, transform, near).reshape(-1, 4, len(_ALONG))
    return np.asarray(hits.mean(axis=2), np.float64)


def off_lines(seen: Points, usual: Points) -> Bools:
    """For each cell, whether its level or its upright sides are not on lines, bool (cells,).

    ``seen`` float64 (cells, 4) are the sides seen, and ``usual`` (4,) those seen on this page.
    """
    least = np.maximum(_OF_USUAL * usual.reshape(2, 2).mean(axis=1), _IN_ANY_CASE)
    return np.asarray((seen.reshape(-1, 2, 2).mean(axis=2) < least).any(axis=1), np.bool_)


def on_their_lines(
    outlines: Outlines, blocks: Blocks, transform: Matrix, near: NDArray[np.uint8]
) -> Bools:
    """For each group of ``outlines``, whether every one of its cells is on its printed lines.

    Every one: a row of boxes that is moved by one box still meets all lines but its last. In a
    block that is moved by a row, all fields but those of one row meet lines, of other fields: if a
    block has more cells on lines one step away, none of its fields is on its own. A row of a table
    that is moved by less still has lines above or below, of the rows beside it: each side of a
    group must be seen.
    """
    seen = sides_seen(outlines, transform, near)
    usual = np.median(seen, axis=0)
    off = off_lines(seen, usual)
    if off.any():
        count = np.bincount(blocks.of, off)
        for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            away = outlines.moved(blocks.steps * step)
            off_there = off_lines(sides_seen(away, transform, near), usual)
            off |= (np.bincount(blocks.of, off_there) < count)[blocks.of]
    _, members = outlines.membership
    # A side that is seen of hardly any cell is not printed.
    least = np.where(usual < _IN_ANY_CASE, 0.0, np.maximum(_OF_USUAL * usual, _IN_ANY_CASE))
    whole = (members @ seen >= least).all(axis=1)
    return np.asarray(whole & (members @ off == 0), np.bool_)


def hits_of(points: Points, transform: Matrix, near: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 for each point on a line, else 0; 0 outside the picture too."""
    if kernels.enabled():
        from inkmill.forms.kernels.places import look_up

        hits = np.empty((len(points), 1), np.uint8)
        look_up(*contiguous(transform, points), near, hits)
        return hits
    places = np.nan_to_num(apply(transform, points), nan=-9.0, posinf=-9.0, neginf=-9.0)
    maps = np.clip(places, -9.0, 30_000.0).astype(np.float32)
    return values_at(near, maps[:, :1], maps[:, 1:], cv2.INTER_NEAREST)
