"""Verify a proposal: the conditions for accepting its transform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from inkmill.codes import Code
from inkmill.forms.geometry import Matrix, apply
from inkmill.forms.locate.bending import FieldFit, fit_fields
from inkmill.forms.locate.evidence import (
    Outlines,
    near_lines,
    off_lines,
    seen_lines,
    sides_seen,
)
from inkmill.forms.locate.locators import Proposal, ink_at
from inkmill.forms.locate.overview import Overview
from inkmill.forms.locate.pagecode import PageText
from inkmill.template.form import Form

if TYPE_CHECKING:
    from inkmill.forms.locate.registration import Located

#: Least evidence of the boxes (`seen_lines`) by method: less with four marks in place than with
#: none.
_LEAST_SEEN = {"marks": 0.30, "blank": 0.35, "boxes": 0.42, "frames": 0.42}
#: Least share of fields whose lines must be found in both directions, by the number of marks: with
#: four marks, fields that were not seen are in place too.
_LEAST_SURE = (0.85, 0.85, 0.85, 0.85, 0.6)
#: On bent paper, the least evidence, however many marks were found: what may be displaced fits
#: other forms, too.
_BENT_SEEN = 0.45
#: There, and with fewer than four marks, the least share of fields on their lines: upside down,
#: half of them may fit by chance.
_LEAST_FOUND = 0.75
#: The allowed part of the template's max_residual, by the number of marks. A template measured by
#: hand is itself some tenths of a millimetre off.
_STRICT = (0.4, 0.4, 0.4, 0.5, 1.0)
#: Upside down, or a row or a column away, the evidence must be lower by at least this.
_LEAD = 0.1
#: Or a row or column away, this many more cells are off their lines: a number, and a share.
_MORE_OFF = (3, 0.02)
#: The cause where a page looks the same when it is turned, and its remedy.
_WHICH_WAY_UP = "it is unclear which way up the page is"
_SAY_UPRIGHT = "if no page comes turned, say upright: true in the template's registration"
#: Least darkness of an odd mark, as a part of the page's darkest print.
_ODD = 0.35
#: Without boxes, four marks must be this close to an affine page, as a part of the diagonal.
_FLAT = 0.06


@dataclass(frozen=True)
class Verification:
    """Whether a proposal is accepted; if not, the code and the cause in words.

    ``remedy`` says what to do, if that is special; ``seen`` is the evidence of its boxes, and
    ``beyond`` the part of its cells that lie outside of the picture; ``ambiguous`` says that the
    form fits in several ways, so that other methods need not be tried.
    """

    accepted: bool
    code: Code = Code.UNREGISTERED
    reason: str = ""
    marks: int = 0
    remedy: str = ""
    seen: float = 0.0
    beyond: float = 0.0
    ambiguous: bool = False


def verify(
    overview: Overview,
    form: Form,
    page_number: int,
    proposal: Proposal,
    transform: Matrix,
    fit: FieldFit,
    located: Located,
    text: PageText,
) -> Verification:
    """Verify a refined proposal; ``transform`` maps template units to overview pixels.

    ``fit`` are its fields on their printed lines.
    """
    code = form.code_of(page_number)
    if text.found and code is not None and not code.names(text.content, page_number):
        return _no(proposal, Code.WRONG_FORM, code.contradiction(text.content, page_number))
    if not _sound(transform, form, overview):
        return _no(
            proposal, Code.UNREGISTERED, "the marks that were found do not have the shape of a page"
        )
    if form.registration_of(page_number).upright and not _upright(transform, form):
        return _no(proposal, Code.UNREGISTERED, "the page is turned, but it should be upright")
    if len(fit.outlines):
        outlines = Outlines.of(form, page_number)
        return _by_boxes(
            overview=overview,
            form=form,
            page_number=page_number,
            proposal=proposal,
            transform=transform,
            located=located,
            fit=fit,
            outlines=outlines,
        )
    return _by_marks(overview, form, page_number, proposal, transform, text)


def _no(proposal: Proposal, code: Code, reason: str) -> Verification:
    return Verification(False, code, reason, proposal.marks)


def _sound(transform: Matrix, form: Form, overview: Overview) -> bool:
    """No mirror image, no vanishing point in the page, cells large enough to be read."""
    boxes = [box for field in form.all_fields for box in field.cells.rectangles()]
    points = np.array(
        [[x + dx * w, y + dy * h] for x, y, w, h in boxes for dx, dy in ((0, 0), (1, 1))]
    )
    depth = points @ transform[2, :2] + transform[2, 2]
    if not np.isfinite(depth).all() or depth.min() <= 0.2 * depth.max():
        return False
    low, high = apply(transform, points[::2]), apply(transform, points[1::2])
    sizes = np.linalg.norm(high - low, axis=1)
    turned = np.linalg.det(transform[:2, :2])
    return bool(turned > 0 and sizes.min() >= 5 and sizes.max() <= 2 * max(overview.grey.shape))


def _by_boxes(
    overview: Overview,
    form: Form,
    page_number: int,
    proposal: Proposal,
    transform: Matrix,
    located: Located,
    fit: FieldFit,
    outlines: Outlines,
) -> Verification:
    # Three marks do not determine a photo's perspective: they count as none.
    least = _LEAST_SEEN[proposal.method if proposal.marks != 3 else "boxes"]
    if located.bend is not None:
        least = max(least, _BENT_SEEN)
    if located.seen < least:
        return _no(
            proposal,
            Code.WRONG_FORM if proposal.marks == 4 else Code.UNREGISTERED,
            "the marks are there, but not the boxes of this form"
            if proposal.marks == 4
            else "the form's boxes were not found"
            + (" where its marks put them" if proposal.marks else ""),
        )
    assert located.moves is not None
    count = len(located.moves.sure)
    sure = float(located.moves.sure.mean())
    # Four marks hold a flat page in place, whatever covers its boxes.
    held = proposal.marks >= 4 and located.bend is None
    found = 1.0 if held else 1 - len(located.lost) / count
    if sure < _LEAST_SURE[min(proposal.marks, 4)] or found < _LEAST_FOUND:
        return _no(proposal, Code.UNREGISTERED, "most of the form's boxes were not found")
    # With fewer than four marks, the boxes must fit better.
    limit = form.max_residual * _STRICT[min(proposal.marks, 4)]
    if located.residual > limit:
        off = f"{located.residual:.2g} {form.page.unit}"
        return _no(
            proposal, Code.UNREGISTERED, f"at best the boxes are {off} off: is the paper creased?"
        )
    if not form.registration_of(page_number).upright and not _this_way_up(
        overview, transform, _turned(outlines, proposal, form), outlines, located
    ):
        # Frames fit nothing by chance.
        found = proposal.method == "frames"
        unclear = _no(proposal, Code.UNREGISTERED, _WHICH_WAY_UP)
        return replace(unclear, ambiguous=found, remedy=_SAY_UPRIGHT)
    if proposal.marks < 4 and not _is_the_row(fit, transform, overview, located.seen):
        return _no(proposal, Code.UNREGISTERED, "it is unclear which row is which")
    return Verification(True)


def _this_way_up(
    overview: Overview,
    transform: Matrix,
    turns: list[Matrix],
    outlines: Outlines,
    located: Located,
) -> bool:
    """Whether the boxes are clearly seen better than turned."""
    bent = located.bend is not None
    return all(
        located.seen - _seen_at(np.asarray(transform @ turn, np.float64), overview, outlines, bent)
        >= _LEAD
        for turn in turns
    )


def _upright(transform: Matrix, form: Form) -> bool:
    """Whether the form's top is up, within 45 degrees, in the middle of its cells."""
    boxes = np.array([box for each in form.all_fields for box in each.cells.rectangles()])
    middle = (boxes[:, :2] + boxes[:, 2:] / 2).mean(axis=0)
    ahead = apply(transform, middle + np.array([[0.0, 0.0], [1e-3 * boxes[0, 2], 0.0]]))
    across, down = ahead[1] - ahead[0]
    return bool(across > abs(down))


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
        if seen - seen_lines(fit.outlines, away, near) >= _LEAD:
            continue
        if off_lines(sides_seen(fit.placed, away, near), usual).sum() - off < more:
            return False
    return True


def _turned(outlines: Outlines, proposal: Proposal, form: Form) -> list[Matrix]:
    """3x3: the template turned about the middle of its marks, else of its boxes.

    By half a turn; without marks also by quarters.
    """
    centre = outlines.edge.mean(axis=0)
    if len(proposal.held) >= 3:
        centre = proposal.held.mean(axis=0)
    elif proposal.method == "frames":
        centre = (outlines.edge.min(axis=0) + outlines.edge.max(axis=0)) / 2
    x, y = centre
    turned = [np.array([[-1.0, 0, 2 * x], [0, -1, 2 * y], [0, 0, 1]])]
    aspect = form.page.unit_aspect
    if proposal.method == "frames" and aspect is not None:
        turned += [
            np.array([[0, -s, x + s * y], [1 / s, 0, y - x / s], [0, 0, 1]])
            for s in (aspect, -aspect)
        ]
    return turned


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


def _by_marks(
    overview: Overview,
    form: Form,
    page_number: int,
    proposal: Proposal,
    transform: Matrix,
    text: PageText,
) -> Verification:
    """For forms whose boxes are not printed, or printed in a colour that scans do not show."""
    registration = form.registration_of(page_number)
    if proposal.method == "blank":
        return Verification(True)
    if proposal.marks < 4 or proposal.stretch > _FLAT:
        return _no(proposal, Code.UNREGISTERED, "fewer than four marks were found with certainty")
    marks = registration.marks
    if text.found or (
        marks is not None and marks.odd and ink_at(overview, transform, marks.odd.at) >= _ODD
    ):
        return Verification(True)
    return _no(
        proposal, Code.WRONG_FORM, "the marks are there, but neither the odd mark nor the code"
    )
