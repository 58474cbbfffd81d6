"""Where the template lies on a scan: marks first, judged by the printed boxes, never guessed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.form import Form
from inkmill.form_registration import Marks
from inkmill.forms.constellation import Hypothesis, hypotheses, matches
from inkmill.forms.evidence import Outlines, near_lines, seen_lines
from inkmill.forms.geometry import Matrix, Points, apply, fit_perspective, inverse
from inkmill.forms.intake import Page
from inkmill.forms.marks import Candidates, find_candidates
from inkmill.forms.overview import Overview
from inkmill.forms.snapping import Moves, corrected, measure

#: Boxes count as seen above this: the share of outlines on lines less that of insides.
_LEAST_SEEN = 0.3
#: The right way up must be seen better than any other by this.
_LEAD = 0.08
#: Overview pixels within which a line counts as met, while the page is not yet in place.
_REACH = 2


@dataclass(frozen=True)
class Located:
    """Where the template lies on a page.

    ``transform`` 3x3 maps template units to the page's pixels; ``residual`` is how far the
    printed boxes (else the marks) are from where it puts them, in template units; ``moves``
    are what single groups are off by; ``marks`` how many were found; ``method`` what told.
    """

    transform: Matrix
    residual: float
    moves: Moves | None
    marks: int
    method: str
    seen: float

    def move_of(self, number: int) -> tuple[float, float]:
        """How far field ``number`` of the page (from 0) is from its place, in template units."""
        if self.moves is None:
            return 0.0, 0.0
        row = np.flatnonzero(self.moves.groups == number)
        if not len(row) or not self.moves.sure[row[0]]:
            return 0.0, 0.0
        dx, dy = self.moves.moves[row[0]]
        return float(dx), float(dy)


def locate(page: Page, form: Form, page_number: int = 1) -> Located:
    """Find the template's page ``page_number`` on a scan.

    Raises ItemError UNREGISTERED, WRONG_FORM, FAINT, BLANK_PAGE, CUT_OFF or WRONG_SIZE with the
    cause in words; nothing is ever guessed.
    """
    overview = Overview.of(page.grey)
    outlines = Outlines.of(form, page_number)
    marks = form.registration_of(page_number).marks
    assert marks is not None
    candidates = _candidates(overview, form, marks)
    best = _best(form, marks, candidates, outlines, overview)
    if best is None:
        raise ItemError(Code.UNREGISTERED, "the marks were not found")
    return _refined(best, marks, candidates, outlines, overview)


def _candidates(overview: Overview, form: Form, marks: Marks) -> Candidates:
    longest, shortest = max(overview.grey.shape), min(overview.grey.shape)
    if marks.size is None:
        return find_candidates(overview, marks.shape, 0.006 * longest, 0.06 * longest)
    if form.page.unit == "mm" and form.page.width and form.page.height:
        sides = sorted((form.page.width, form.page.height))
        pixels = min(longest / sides[1], shortest / sides[0])
    else:
        pixels = float(shortest)
    return find_candidates(
        overview, marks.shape, max(4.0, 0.5 * pixels * marks.size), 1.35 * pixels * marks.size
    )


def _best(
    form: Form, marks: Marks, candidates: Candidates, outlines: Outlines, overview: Overview
) -> Hypothesis | None:
    aspect = 1.0 if form.page.unit == "mm" else form.page.aspect
    found = hypotheses(marks, candidates, aspect, max(overview.grey.shape))
    if not found:
        return None
    near = near_lines(overview, _REACH)
    scores = [
        seen_lines(outlines, each.transform, near) + 0.05 * len(each.matched) - 0.3 * each.misfit
        for each in found
    ]
    return found[int(np.argmax(scores))]


def _refined(
    best: Hypothesis,
    marks: Marks,
    candidates: Candidates,
    outlines: Outlines,
    overview: Overview,
) -> Located:
    transform = best.transform
    at = np.array(marks.at, np.float64)
    reach = 0.8 * float(np.median(candidates.sizes))
    pairs = matches(marks, transform, candidates, reach)
    if len(pairs) > 4:
        mine, theirs = (list(each) for each in zip(*pairs, strict=True))
        transform = fit_perspective(at[mine], candidates.centres[theirs])
    held = at[[mark for mark, _ in pairs]]
    moves = None
    residual = _mark_residual(transform, at, candidates, pairs)
    if len(outlines):
        for _ in range(2):
            moves = measure(outlines, transform, overview)
            transform = corrected(transform, moves, held)
        moves = measure(outlines, transform, overview)
        off = np.linalg.norm(moves.moves[moves.sure], axis=1)
        residual = max(residual, float(np.median(off)) if len(off) else 0.0)
    seen = seen_lines(outlines, transform, near_lines(overview, 1))
    return Located(overview.to_page @ transform, residual, moves, len(pairs), "marks", seen)


def _mark_residual(
    transform: Matrix, at: Points, candidates: Candidates, pairs: list[tuple[int, int]]
) -> float:
    if not pairs:
        return 0.0
    seen = apply(inverse(transform), candidates.centres[[candidate for _, candidate in pairs]])
    off = seen - at[[mark for mark, _ in pairs]]
    return float(np.sqrt((off**2).sum(axis=1).mean()))
