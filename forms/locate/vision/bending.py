"""Fields on their printed lines, on bent paper too: moves that neighbouring fields share.

Creased, curled or photographed paper moves its fields by millimetres, but neighbours by nearly the
same amount. So a move is believed if the fields around show it too. A field that moves alone has
found another line: a streak, or the box of the next row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply
from inkmill.forms.locate.vision.evidence import Bools, Outlines, near_lines, on_their_lines
from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.locate.vision.snapping import Moves, measure, plausible_moves

#: Cells of a field that are moved together: a long field bends within itself.
_RUN = 3
#: Neighbours whose moves make the move of a place, and the steps in which outliers lose weight.
_NEIGHBOURS, _REWEIGHTED = 6, 4
#: Weight against a slope of the moves, which a few neighbours in one row do not show.
_RIDGE = 0.01
#: A run's move is believed if it is as far from its neighbours' as this, as a part of its cells'
#: shorter side, and if this many other fields agree.
_TOLERANCE, _SUPPORT = 0.15, 2
#: Largest move of a cell's corner against its middle, as a part of its shorter side.
_TWIST = 0.05
#: A page whose fields are all found, none further off than this by itself, in overview pixels, is
#: flat; and a cell that is further off in its field than this is not on its lines: 0.3 mm of A4.
_FLAT = 1.2
#: A single cell's lines are looked for this far, in overview pixels, from where its field puts it.
_CELL_REACH = 4.0
#: How often the lines are looked for from where the neighbours put them; the last change, in
#: overview pixels, that ends it before.
_ROUNDS, _SETTLED = 8, 0.3
#: How often single cells then refine it: what the first time shows brings others within reach.
_REFINED = 2
#: Most runs whose moves are compared, and most cells that refine them: a second of processor time.
_MOST = 800
#: Pairs of points and places that are compared at once.
_AT_ONCE = 500_000
#: No paper that is read bends further than this part of the picture's longer side: 9 mm of A4.
_FURTHEST = 0.03


@dataclass(frozen=True)
class Bend:
    """How far the paper is from where the page's transform puts it.

    ``places`` and ``moves`` float64 (n, 2), in template units, are where lines were found;
    ``scale`` (2,) is the number of overview pixels for a unit across and down.
    """

    places: Points
    moves: Points
    scale: Points

    def at(self, points: Points) -> Points:
        """The displacement at ``points`` (n, 2), in template units: float64 (n, 2)."""
        usable = np.ones((len(points), len(self.places)), np.bool_)
        return _local(points, self, usable)[0]


@dataclass(frozen=True)
class FieldFit:
    """The fields of a page, each on its printed lines.

    ``outlines`` are the template's, displaced by ``bend``; ``moves`` what single fields are off
    from there, and ``placed`` the outlines displaced by that as well; ``lost`` the numbers of the
    fields that are not on their lines even so.
    """

    outlines: Outlines
    placed: Outlines
    moves: Moves | None = None
    bend: Bend | None = None
    lost: frozenset[int] = frozenset()

    @property
    def residual(self) -> float:
        """The median of the moves, in template units."""
        if self.moves is None or not self.moves.sure.any():
            return 0.0
        return float(np.median(np.linalg.norm(self.moves.moves[self.moves.sure], axis=1)))


#: Places and their moves, float64 (n, 2) each, in template units.
Witnesses = tuple[Points, Points]
NO_MARKS: Witnesses = (np.empty((0, 2)), np.empty((0, 2)))


def fit_fields(
    outlines: Outlines,
    transform: Matrix,
    overview: Overview,
    marks: Witnesses = NO_MARKS,
    bends: bool = True,
) -> FieldFit:
    """Find each field's printed lines near where ``transform``, to overview pixels, puts them.

    ``marks`` are corner marks and how far they were found from there: they also show how the paper
    is bent. With ``bends`` false the paper is taken to be flat.
    """
    flat = _fitted(outlines, transform, overview)
    if not bends:
        return flat
    assert flat.moves is not None
    off = np.linalg.norm(flat.moves.own * _scale(transform, outlines), axis=1)
    if not flat.lost and off.max() < _FLAT:
        return flat
    bend = find_bend(outlines, transform, overview, marks)
    if bend is None:
        return flat
    bent = _fitted(outlines, transform, overview, bend)
    # It must find more fields, unless they all moved.
    most = len(flat.lost) if off.max() >= _FLAT else len(flat.lost) - 1
    return bent if len(bent.lost) <= most else flat


def fields_at(outlines: Outlines, transform: Matrix, overview: Overview) -> frozenset[int]:
    """The numbers of the fields that are not on their lines exactly where ``transform`` says."""
    if not len(outlines):
        return frozenset()
    found = on_their_lines(outlines, outlines.blocks, transform, near_lines(overview, 1))
    return frozenset(outlines.groups[~found].tolist())


def _fitted(
    outlines: Outlines, transform: Matrix, overview: Overview, bend: Bend | None = None
) -> FieldFit:
    bent = outlines if bend is None else outlines.moved(bend.at(outlines.middles))
    moves = plausible_moves(measure(bent, transform, overview), outlines)
    members = outlines.membership[1]
    shifts = (members > 0).T @ moves.own
    placed = bent.moved(shifts)
    near = near_lines(overview, 1)
    found = moves.sure & on_their_lines(placed, outlines.blocks, transform, near)
    found &= members @ _beside_lines(bent.by_cell.moved(shifts), transform, overview) == 0
    if bend is not None:
        found &= members @ _twisted(outlines, bend) == 0
    return FieldFit(bent, placed, moves, bend, frozenset(moves.groups[~found].tolist()))


def _beside_lines(cells: Outlines, transform: Matrix, overview: Overview) -> Bools:
    """For each cell, whether its own lines are beside it: a long field may bend within itself.

    ``cells`` are the outlines by cell, where their fields put them. Most places on a side meet a
    line even if it is two pixels off.
    """
    found = measure(cells, transform, overview, _CELL_REACH)
    off = np.linalg.norm(found.moves * _scale(transform, cells), axis=1)
    return np.asarray(found.sure & (off > _FLAT), np.bool_)


def _twisted(outlines: Outlines, bend: Bend) -> Bools:
    """For each cell, whether it is bent within itself, more than a box that is moved can follow."""
    size = outlines.extent[outlines.owner]
    corners = [bend.at(outlines.middles + 0.5 * size * at) for at in ((1, 1), (1, -1))]
    # The opposite corners move by as much the other way.
    away = [np.linalg.norm(corner - bend.at(outlines.middles), axis=1) for corner in corners]
    return np.asarray(np.maximum(*away) > _TWIST * size.min(axis=1), np.bool_)


def find_bend(
    outlines: Outlines, transform: Matrix, overview: Overview, marks: Witnesses = NO_MARKS
) -> Bend | None:
    """The smooth displacement that the fields' lines show; None if they do not agree on one.

    Lines are looked for again and again where the neighbours' moves put them, so that the moves of
    a page that is bent by more than half a cell are followed from where they are small.
    """
    runs, scale = outlines.by_run(_RUN), _scale(transform, outlines)
    _, members = runs.membership
    if len(members) > _MOST:
        return None
    places = np.vstack([members @ runs.middles, marks[0]])
    owner, tolerance = _owners(outlines, runs, len(marks[0]))
    shift, bend = np.zeros_like(runs.middles), None
    for _ in range(_ROUNDS):
        found = measure(runs.moved(shift), transform, overview)
        moves = np.vstack([members @ shift + found.moves, marks[1]])
        sure = np.append(found.sure, np.ones(len(marks[0]), np.bool_))
        believed = sure & _shared(Bend(places, moves, scale), sure, owner, tolerance)
        if len(np.unique(owner[believed])) <= _SUPPORT:
            return None
        bend = Bend(places[believed], moves[believed], scale)
        before, shift = shift, bend.at(runs.middles)
        if np.abs((shift - before) * scale).max() < _SETTLED:
            break
    furthest = np.linalg.norm(shift * scale, axis=1).max()
    if bend is None or furthest > _FURTHEST * max(overview.grey.shape):
        return None
    return _by_cells(outlines, bend, transform, overview, marks)


def _owners(
    outlines: Outlines, runs: Outlines, marks: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The field of each run, and how far its move may be from its neighbours'.

    A mark counts as a field of its own.
    """
    field = outlines.owner[np.unique(runs.owner, return_index=True)[1]]
    sizes = runs.extent.min(axis=1)
    owner = np.append(field, -1 - np.arange(marks))
    return owner, _TOLERANCE * np.append(sizes, np.full(marks, sizes.min()))


def _by_cells(
    outlines: Outlines, bend: Bend, transform: Matrix, overview: Overview, marks: Witnesses
) -> Bend:
    """The displacement as single cells show it, which tilts and curves within their fields."""
    cells = outlines.by_cell
    for _ in range(_REFINED if len(outlines.middles) <= _MOST else 0):
        shift = bend.at(outlines.middles)
        found = measure(cells.moved(shift), transform, overview)
        near = np.linalg.norm(found.moves, axis=1) <= _TOLERANCE * cells.extent.min(axis=1)
        seen = found.sure & near
        places = np.vstack([outlines.middles[seen], marks[0]])
        moves = np.vstack([(shift + found.moves)[seen], marks[1]])
        if seen.any():
            bend = Bend(places, moves, bend.scale)
    return bend


def _scale(transform: Matrix, outlines: Outlines) -> Points:
    """Overview pixels for a template unit across and down, in the middle of the fields."""
    middle = outlines.middles.mean(axis=0)
    ahead = apply(transform, middle + np.array([[0.0, 0.0], [1e-3, 0.0], [0.0, 1e-3]]))
    pixels = np.linalg.norm(ahead[1:] - ahead[0], axis=1) / 1e-3
    return np.asarray(np.maximum(pixels, 1e-9), np.float64)


def _shared(
    seen: Bend, sure: Bools, field_of: NDArray[np.int64], tolerance: NDArray[np.float64]
) -> Bools:
    """Whether each run moves as far as the runs of other fields around it make likely."""
    others = sure[None] & (field_of[:, None] != field_of[None])
    likely, agreeing = _local(seen.places, seen, others)
    off = np.linalg.norm(seen.moves - likely, axis=1)
    fields = np.unique(field_of, return_inverse=True)[1]
    support = (agreeing @ np.eye(fields.max() + 1)[fields] > 0).sum(axis=1)
    return np.asarray((off <= tolerance) & (support >= _SUPPORT), np.bool_)


def _local(points: Points, bend: Bend, usable: Bools) -> tuple[Points, Bools]:
    """The moves at ``points`` by a robust linear fit to the nearest places (Cleveland 1979).

    ``usable`` bool (points, places) says which places count for which point. Returns float64
    (points, 2), and bool (points, places): near, usable and in agreement with the fit.
    """
    # In parts, since thousands of cells at once would fill the memory.
    part = max(1, _AT_ONCE // max(1, len(bend.places)))
    parts = [slice(start, start + part) for start in range(0, len(points), part)]
    fits = [_fit(points[each], bend, usable[each]) for each in parts]
    return np.vstack([fit for fit, _ in fits]), np.vstack([agreeing for _, agreeing in fits])


def _fit(points: Points, bend: Bend, usable: Bools) -> tuple[Points, Bools]:
    step = (bend.places[None] - points[:, None]) * bend.scale
    distance = np.where(usable, np.hypot(step[..., 0], step[..., 1]), np.inf)
    last = min(_NEIGHBOURS, distance.shape[1]) - 1
    reach = np.partition(distance, last, axis=1)[:, last]
    furthest = np.where(usable, distance, 0.0).max(axis=1)
    reach = np.maximum(np.where(np.isfinite(reach), reach, furthest), 1e-9)
    nearness = np.exp(-2.0 * (distance / reach[:, None]) ** 2)
    terms = np.concatenate([np.ones_like(step[..., :1]), step / reach[:, None, None]], axis=2)
    weight, doubt = nearness, np.ones_like(nearness)
    ridge = np.diag([1e-9, _RIDGE, _RIDGE])
    for _ in range(_REWEIGHTED):
        left = (terms * weight[..., None]).transpose(0, 2, 1)
        fit = np.linalg.solve(left @ terms + ridge, left @ bend.moves)
        off = np.linalg.norm((bend.moves - terms @ fit) * bend.scale, axis=2)
        usual = (weight * off).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
        doubt = 1.0 / (1.0 + (off / (2.0 * np.maximum(usual, 0.5))[:, None]) ** 2)
        weight = nearness * doubt
    return fit[:, 0], np.asarray((nearness > 0.02) & (doubt > 0.5), np.bool_)
