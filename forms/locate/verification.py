"""Verify a proposal: the conditions for accepting its transform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from inkmill.codes import Code
from inkmill.forms.geometry import Matrix, apply
from inkmill.forms.locate.placing.rivals import (
    print_is_symmetric,
    print_is_there,
    which_row,
    which_way_up,
)
from inkmill.forms.locate.vision.bending import FieldFit
from inkmill.forms.locate.vision.evidence import Outlines
from inkmill.forms.locate.vision.locators import Proposal, ink_at
from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.locate.vision.pagecode import PageText
from inkmill.template.form import Form
from inkmill.template.registration import Registration

if TYPE_CHECKING:
    from inkmill.forms.locate.registration import Located

#: Least evidence of the boxes (`seen_lines`) by method: less with four marks in place than with
#: none.
_LEAST_SEEN = {"marks": 0.30, "blank": 0.35, "boxes": 0.42, "frames": 0.42}
#: Least share of fields whose lines must be found in both directions, by the number of marks: with
#: four marks, fields that were not seen are in place too.
_LEAST_SURE = (0.85, 0.85, 0.85, 0.85, 0.6)
#: Less evidence of the boxes is enough beside the blank's print.
_BESIDE_PRINT = 0.2
#: On bent paper, the least evidence, however many marks were found: what may be displaced fits
#: other forms, too.
_BENT_SEEN = 0.45
#: There, and with fewer than four marks, the least share of fields on their lines: upside down,
#: half of them may fit by chance.
_LEAST_FOUND = 0.75
#: The allowed part of the template's max_residual, by the number of marks. A template measured by
#: hand is itself some tenths of a millimetre off.
_STRICT = (0.4, 0.4, 0.4, 0.5, 1.0)
#: Fewer boxes than this are found on many a page: the blank's print must be there, too.
_FEW = 8
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
    ``beyond`` the part of its cells that lie outside of the picture; ``turned`` says that the form
    may be turned, ``ambiguous`` that it fits in several ways, so that other methods need not be
    tried.
    """

    accepted: bool
    code: Code = Code.UNREGISTERED
    reason: str = ""
    marks: int = 0
    remedy: str = ""
    seen: float = 0.0
    beyond: float = 0.0
    turned: bool = False
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
    told: bool,
) -> Verification:
    """Verify a refined proposal; ``transform`` maps template units to overview pixels.

    ``fit`` are its fields on their printed lines; ``told`` says that its page code has told which
    way up the page is.
    """
    code = form.code_of(page_number)
    if text.found and code is not None and not code.names(text.content, page_number):
        return _no(proposal, Code.WRONG_FORM, code.contradiction(text.content, page_number))
    if not _sound(transform, form, overview):
        return _no(
            proposal,
            Code.UNREGISTERED,
            "what was found does not have the shape of a page, or is too small in the picture",
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
            told=told,
        )
    return _by_marks(overview, form, page_number, proposal, transform, text)


def _no(proposal: Proposal, code: Code, reason: str) -> Verification:
    return Verification(False, code, reason, proposal.marks)


def _sound(transform: Matrix, form: Form, overview: Overview) -> bool:
    """No mirror image, no vanishing point in the page, cells large enough to be read."""
    boxes = np.array([box for field in form.all_fields for box in field.cells.rectangles()])
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    depth = np.vstack([low, high]) @ transform[2, :2] + transform[2, 2]
    if not np.isfinite(depth).all() or depth.min() <= 0.2 * depth.max():
        return False
    sizes = np.linalg.norm(apply(transform, high) - apply(transform, low), axis=1)
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
    told: bool,
) -> Verification:
    # Three marks do not determine a photo's perspective: they count as none.
    least = _LEAST_SEEN[proposal.method if proposal.marks != 3 else "boxes"]
    if located.bend is not None:
        least = max(least, _BENT_SEEN)
    registration = form.registration_of(page_number)
    if located.seen < least and not (
        located.seen >= _BESIDE_PRINT and print_is_there(overview, registration.blank, transform)
    ):
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
    # Four marks hold a flat page in place, whatever covers its boxes; so does its print.
    held = proposal.marks >= 4 and located.bend is None
    found = 1.0 if held else 1 - len(located.lost) / count
    least_sure = _LEAST_SURE[min(proposal.marks, 4)]
    if (
        sure < least_sure
        and proposal.method == "blank"
        and print_is_there(overview, registration.blank, transform)
    ):
        least_sure = _LEAST_SURE[4]
    if sure < least_sure or found < _LEAST_FOUND:
        return _no(proposal, Code.UNREGISTERED, "most of the form's boxes were not found")
    # With fewer than four marks, the boxes must fit better.
    limit = form.max_residual * _STRICT[min(proposal.marks, 4)]
    if located.residual > limit:
        off = f"{located.residual:.2g} {form.page.unit}"
        return _no(
            proposal, Code.UNREGISTERED, f"at best the boxes are {off} off: is the paper creased?"
        )
    return _only_here(
        overview,
        form=form,
        registration=registration,
        proposal=proposal,
        transform=transform,
        located=located,
        fit=fit,
        outlines=outlines,
        told=told,
    )


def _only_here(
    overview: Overview,
    form: Form,
    registration: Registration,
    proposal: Proposal,
    transform: Matrix,
    located: Located,
    fit: FieldFit,
    outlines: Outlines,
    told: bool,
) -> Verification:
    """Whether the boxes that fit here fit nowhere else: not turned, not a row away, on no other."""
    blank = registration.blank
    if not (registration.upright or told) and not which_way_up(
        overview,
        form=form,
        blank=blank,
        proposal=proposal,
        transform=transform,
        outlines=outlines,
        seen=located.seen,
        bent=located.bend is not None,
    ):
        # Frames do not fit by chance. A code may be there the other way up.
        surely = (
            proposal.method == "frames"
            and registration.code is None
            and print_is_symmetric(overview, blank, transform)
        )
        return replace(unclear_way_up(proposal), ambiguous=surely)
    if proposal.marks < 4 and not which_row(overview, blank, transform, fit, located.seen):
        return _no(proposal, Code.UNREGISTERED, "it is unclear which row is which")
    few = registration.marks is None and len(outlines.middles) < _FEW
    if few and not print_is_there(overview, blank, transform):
        return _no(
            proposal, Code.UNREGISTERED, "boxes like the form's are there, but not its print"
        )
    return Verification(True)


def unclear_way_up(proposal: Proposal) -> Verification:
    """The refusal of a proposal that fits turned as well."""
    unclear = _no(proposal, Code.UNREGISTERED, _WHICH_WAY_UP)
    return replace(unclear, turned=True, remedy=_SAY_UPRIGHT)


def _upright(transform: Matrix, form: Form) -> bool:
    """Whether the form's top is up, within 45 degrees, in the middle of its cells."""
    boxes = np.array([box for each in form.all_fields for box in each.cells.rectangles()])
    middle = (boxes[:, :2] + boxes[:, 2:] / 2).mean(axis=0)
    ahead = apply(transform, middle + np.array([[0.0, 0.0], [1e-3 * boxes[0, 2], 0.0]]))
    across, down = ahead[1] - ahead[0]
    return bool(across > abs(down))


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
