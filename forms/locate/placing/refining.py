"""A proposal refined on the printed boxes: the page as a whole, then each field."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from inkmill.forms.geometry import Matrix, Points, apply, inverse
from inkmill.forms.locate.placing.printed import Printed
from inkmill.forms.locate.placing.rivals import print_is_there
from inkmill.forms.locate.placing.scene import Located, Scene
from inkmill.forms.locate.vision.bending import NO_MARKS, FieldFit, fields_at, fit_fields
from inkmill.forms.locate.vision.evidence import near_lines, seen_lines
from inkmill.forms.locate.vision.locators import Proposal
from inkmill.forms.locate.vision.pagecode import PageText, read_code
from inkmill.forms.locate.vision.snapping import corrected, measure, with_perspective

#: A page of fewer boxes is fitted to its blank's print.
FEW_BOXES = 24


@dataclass(frozen=True)
class Placed:
    """A proposal refined on the printed boxes; ``transform`` maps to the overview's pixels.

    ``fit`` are its fields on their printed lines.
    """

    located: Located
    transform: Matrix
    fit: FieldFit
    text: PageText


def place(scene: Scene, proposal: Proposal) -> Placed:
    proposal = _by_print(scene, proposal)
    transform, residual = proposal.transform, proposal.residual
    fit = FieldFit(scene.outlines, scene.outlines)
    if len(scene.outlines):
        transform = _corrected(scene, proposal)
        seen_marks = _seen_marks(proposal, transform)
        fit = fit_fields(
            scene.outlines, transform, scene.overview, seen_marks, bends=not proposal.held_by_print
        )
        if proposal.held_by_print:
            # A few boxes show no bend, and a tick that covers a small box hides its lines, not its
            # place.
            exactly = fields_at(scene.outlines, transform, scene.overview)
            fit = replace(fit, lost=fit.lost & exactly)
        # The boxes decide: on bent paper, marks that are on it are off as well.
        residual = fit.residual
    seen = seen_lines(fit.outlines, transform, near_lines(scene.overview, 1))
    code, text = scene.registration.code, PageText("", False)
    if code is not None:
        text = read_code(scene.page.grey, scene.overview.to_page @ transform, code)
    located = Located(
        np.asarray(scene.to_file @ transform, np.float64),
        residual=residual,
        moves=fit.moves,
        marks=proposal.marks,
        method=proposal.method,
        seen=seen,
        code=text.content,
        bend=fit.bend,
        lost=fit.lost,
    )
    return Placed(located, transform, fit, text)


def _by_print(scene: Scene, proposal: Proposal) -> Proposal:
    """A proposal by the blank's features, fitted to its print if there are too few boxes for that.

    Features are a pixel off, and a few boxes, perhaps in a row, do not determine a page.
    """
    blank = scene.registration.blank
    if proposal.method != "blank" or blank is None or len(scene.outlines.middles) >= FEW_BOXES:
        return proposal
    fitted = Printed.of(blank).fitted(proposal.transform, scene.overview)
    held = print_is_there(scene.overview, blank, fitted)
    return replace(proposal, transform=fitted, rounds=0, held_by_print=held)


def _seen_marks(proposal: Proposal, transform: Matrix) -> tuple[Points, Points]:
    """Marks in template units, and how far they were found from where ``transform`` puts them."""
    if not len(proposal.found_at):
        return NO_MARKS
    marks = proposal.held
    return marks, apply(inverse(transform), proposal.found_at) - marks


def _corrected(scene: Scene, proposal: Proposal) -> Matrix:
    """The proposal's transform, corrected by what the printed boxes have in common."""
    transform = proposal.transform
    # Four marks fix the page's tilt; with fewer, the single cells must show it.
    witnesses = scene.outlines if proposal.marks == 4 else scene.outlines.by_cell
    for _ in range(proposal.rounds):
        moves = measure(witnesses, transform, scene.overview)
        transform = corrected(transform, moves, proposal.held)
    if proposal.marks < 4:
        moves = measure(witnesses, transform, scene.overview)
        transform = with_perspective(transform, moves, proposal.held)
    return transform
