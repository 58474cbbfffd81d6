"""Other places where the form might fit as well: turned, or a row or column away.

The printed boxes decide; where they are too much alike, the blank's print.
"""

from __future__ import annotations

import numpy as np

from inkmill.forms.geometry import Matrix
from inkmill.forms.locate.placing.printed import Printed
from inkmill.forms.locate.vision.bending import FieldFit, fit_fields
from inkmill.forms.locate.vision.evidence import (
    Outlines,
    near_lines,
    off_lines,
    seen_lines,
    sides_seen,
)
from inkmill.forms.locate.vision.locators import Proposal
from inkmill.forms.locate.vision.overview import Overview
from inkmill.template.form import Form
from inkmill.template.registration import Blank

#: Upside down, or a row or a column away, the evidence must be lower by at least this.
LEAD = 0.1
#: Or a row or column away, this many more cells are off their lines: a number, and a share.
_MORE_OFF = (3, 0.02)
#: A form that is moved to fit is moved by at most this many of its widest box, first in coarse,
#: then in fine steps of so many pixels.
_REACH, _COARSE, _FINE = 1.2, 3.0, 1.0
#: The blank's print counts if at least this evidence of it is seen.
LEAST_PRINT = 0.3
#: The likeness at which it is the blank's print: of other words in the same lines it was
#: 0.4, on photos of the form above 0.9.
LEAST_LIKENESS = 0.65


def which_way_up(
    overview: Overview,
    form: Form,
    blank: Blank | None,
    proposal: Proposal,
    transform: Matrix,
    outlines: Outlines,
    seen: float,
    bent: bool,
) -> bool:
    """Whether the form fits clearly better than turned; ``seen`` is the evidence of its boxes."""
    turns = turned_ways(outlines, proposal, form)
    return all(
        seen - _seen_at(np.asarray(transform @ turn, np.float64), overview, outlines, bent) >= LEAD
        for turn in turns
    ) or _print_tells(overview, blank, transform, turns)


def which_row(
    overview: Overview, blank: Blank | None, transform: Matrix, fit: FieldFit, seen: float
) -> bool:
    """Whether the form fits clearly better than a row or a column away."""
    if _is_the_row(fit, transform, overview, seen):
        return True
    steps = [_moved(dx, dy) for dx, dy in _steps(fit.outlines)]
    return _print_tells(overview, blank, transform, steps)


def print_is_symmetric(overview: Overview, blank: Blank | None, transform: Matrix) -> bool:
    """Whether no print could tell which way up the page is, since it is seen this way, too."""
    return blank is None or print_seen(overview, blank, transform) >= LEAST_PRINT


def print_seen(overview: Overview, blank: Blank | None, transform: Matrix) -> float:
    """The evidence of the blank's print, 1 to about 0; 0 without a blank."""
    return 0.0 if blank is None else Printed.of(blank).seen(transform, near_lines(overview, 1))


def print_is_there(overview: Overview, blank: Blank | None, transform: Matrix) -> bool:
    """Whether the blank's print is surely seen, word for word."""
    return blank is not None and Printed.of(blank).likeness(transform, overview) >= LEAST_LIKENESS


def _print_tells(
    overview: Overview, blank: Blank | None, transform: Matrix, others: list[Matrix]
) -> bool:
    """Whether the blank's print is seen here, and clearly better than in other places."""
    if blank is None:
        return False
    printed, near = Printed.of(blank), near_lines(overview, 1)
    here = printed.seen(transform, near)
    return here >= LEAST_PRINT and all(
        here - printed.seen(np.asarray(transform @ other, np.float64), near) >= LEAD
        for other in others
    )


def _seen_at(transform: Matrix, overview: Overview, outlines: Outlines, bent: bool) -> float:
    """The evidence for another place; with ``bent``, displaced as far as makes it fit best."""
    if bent:
        outlines = fit_fields(outlines, transform, overview).outlines
    return seen_lines(outlines, transform, near_lines(overview, 1))


def _is_the_row(fit: FieldFit, transform: Matrix, overview: Overview, seen: float) -> bool:
    """Whether the form fits clearly worse a row or a column away.

    A table's inner rows fit there as well: then its outermost cells, which lie beyond the last
    line, tell.
    """
    near = near_lines(overview, 1)
    here = sides_seen(fit.placed, transform, near)
    usual = np.median(here, axis=0)
    off = int(off_lines(here, usual).sum())
    more = max(_MORE_OFF[0], _MORE_OFF[1] * len(here))
    for dx, dy in _steps(fit.outlines):
        away = transform @ _moved(dx, dy)
        if seen - seen_lines(fit.outlines, away, near) >= LEAD:
            continue
        if off_lines(sides_seen(fit.placed, away, near), usual).sum() - off < more:
            return False
    return True


def turned_ways(outlines: Outlines, proposal: Proposal, form: Form) -> list[Matrix]:
    """3x3: the template turned about the middle of its marks, else of its boxes.

    By half a turn; found without marks and blank, also by quarters.
    """
    centre = outlines.edge.mean(axis=0)
    if len(proposal.held) >= 3:
        centre = proposal.held.mean(axis=0)
    elif proposal.method == "frames":
        centre = (outlines.edge.min(axis=0) + outlines.edge.max(axis=0)) / 2
    x, y = centre
    turned = [np.array([[-1.0, 0, 2 * x], [0, -1, 2 * y], [0, 0, 1]])]
    aspect = form.page.unit_aspect
    if proposal.method in ("frames", "boxes") and aspect is not None:
        turned += [
            np.array([[0, -s, x + s * y], [1 / s, 0, y - x / s], [0, 0, 1]])
            for s in (aspect, -aspect)
        ]
    return turned


def moved_to_fit(transform: Matrix, outlines: Outlines, overview: Overview) -> Matrix:
    """The transform, moved by up to a box's width and height to where the boxes are best seen.

    Turned about its middle, a table lies beside its lines if its columns differ. Upright lines
    show how far it lies to the side, level ones how far up or down: one is sought after the other.
    """
    glance, scale = outlines.glance, np.sqrt(abs(np.linalg.det(transform[:2, :2])))
    for step, near in ((_COARSE, near_lines(overview, 2)), (_FINE, near_lines(overview, 1))):
        reach = _REACH * scale * float(outlines.extent.max()) if step == _COARSE else 2 * _COARSE
        away = np.arange(-reach, reach + step, step) / scale
        for axis in (0, 1, 0):
            tried = [
                np.asarray(transform @ _moved(*((by, 0.0), (0.0, by))[axis]), np.float64)
                for by in away.tolist()
            ]
            transform = max(tried, key=lambda each: seen_lines(glance, each, near))
    return transform


def _steps(outlines: Outlines) -> list[tuple[float, float]]:
    """Distances between the form's fields: shifted by one, a page could pass unnoticed."""
    groups = np.unique(outlines.group)
    centres = np.array([outlines.edge[outlines.group == group].mean(axis=0) for group in groups])
    steps = (centres[None] - centres[:, None]).reshape(-1, 2)
    size = outlines.extent.min() * 0.5
    moved = steps[np.linalg.norm(steps, axis=1) > size]
    nearest = moved[np.argsort(np.linalg.norm(moved, axis=1))[:12]]
    cells = [(float(w), 0.0) for w, _ in outlines.extent[:1]]
    return [(float(x), float(y)) for x, y in nearest] + cells + [(-x, y) for x, y in cells]


def _moved(dx: float, dy: float) -> Matrix:
    return np.array([[1.0, 0, dx], [0, 1, dy], [0, 0, 1]])
