"""Why a page could not be located, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inkmill.codes import Code
from inkmill.forms.intake import Page
from inkmill.forms.locate.verification import Verification
from inkmill.forms.locate.vision.overview import Overview
from inkmill.template.form import Form

#: A page with a smaller share of ink than this is blank.
_BLANK = 0.0015
#: Print less dark than this, in levels of 255, is faint.
_FAINT = 40.0
#: A page with fewer pixels than this along its longer side is too small.
_SMALL = 300
#: Cells that would be smaller than this, in pixels, if the page filled the picture, are too small;
#: and the size that they should have.
_SMALL_CELL, _GOOD_CELL = 12.0, 20.0
#: A column that is darker than its neighbours over this part of the picture's height, from edge to
#: edge, is a streak, unless it is wider than this part of the picture.
_STREAK, _WIDEST = 0.85, 0.01
#: A line meets another if it is this long beside it, in pixels; at a table's edge, so many rows of
#: pixels of such lines end.
_RUN, _LEAST_MET = 14, 6
#: The picture's shape is the page's if the ratios of their sides differ by at most this ratio; and
#: a side fits the page's at the file's resolution if it differs by at most this part.
_SHAPE, _FITS = 1.2, 0.06
#: A refused proposal is this form, cut off, if this part of its cells is beyond the picture's edge,
#: and of the others there is this evidence.
_BEYOND, _PARTLY_SEEN = (0.08, 0.6), 0.55

#: A cause, and what to do about it.
Verdict = tuple[Code, str]


def explain(
    page: Page, overview: Overview, form: Form, page_number: int, refused: Sequence[Verification]
) -> Verdict:
    """Code and message for a page that could not be located.

    ``refused`` are the verifications of all proposals, in order; there may be none.
    """
    for said in (
        _nothing_there(overview),
        _refused_surely(form, refused),
        _too_coarse(overview, form, page_number),
        _streaked(overview),
        _cut_off(page, overview, form, refused),
    ):
        if said is not None:
            return said
    return Code.UNREGISTERED, _at_best(form, page_number, refused)


def _nothing_there(overview: Overview) -> Verdict | None:
    height, width = overview.grey.shape
    ink = float((overview.lines > 0).mean())
    if overview.darkness < 12 or ink < _BLANK:
        return Code.BLANK_PAGE, "the page is blank: leave it out, or scan its other side"
    across, down = round(width * overview.scale_x), round(height * overview.scale_y)
    if max(across, down) < _SMALL:
        return Code.WRONG_SIZE, (
            f"{across} x {down} pixels are too few for a page: scan at 150 dpi or more"
        )
    return None


def _refused_surely(form: Form, refused: Sequence[Verification]) -> Verdict | None:
    """What is known because the boxes or the code were seen."""
    wrong = next((each for each in refused if each.code is Code.WRONG_FORM), None)
    if wrong is not None:
        return Code.WRONG_FORM, f"{wrong.reason}: give its own template with --form"
    twofold = next((each for each in refused if each.ambiguous), None)
    if twofold is not None:
        return Code.UNREGISTERED, (
            f"{form.name} was found, but {twofold.reason}: {twofold.remedy or 'scan it again'}"
        )
    return None


def _too_coarse(overview: Overview, form: Form, page_number: int) -> Verdict | None:
    """Faint print, or so few pixels that cells could not be read wherever the page lay."""
    if overview.darkness < _FAINT:
        return Code.FAINT, "print and ink are hardly darker than the paper: scan it darker"
    if form.page.unit != "mm" or not form.page.width or not form.page.height:
        return None
    cells = [
        min(w, h)
        for each in form.page_fields(page_number)
        if each.read
        for *_, w, h in each.cells.rectangles()
    ]
    if not cells:
        return None
    pixels = max(overview.grey.shape) * overview.scale_x / max(form.page.width, form.page.height)
    if pixels * min(cells) >= _SMALL_CELL:
        return None
    wanted = 10 * round(np.ceil(25.4 * _GOOD_CELL / min(cells) / 10))
    return Code.WRONG_SIZE, (
        f"its cells are at most {pixels * min(cells):.0f} pixels wide ({25.4 * pixels:.0f} dpi): "
        f"scan at {wanted} dpi or more"
    )


def _streaked(overview: Overview) -> Verdict | None:
    """Dark lines from edge to edge, in one direction only: dirt on the glass, not a table."""
    dark = overview.lines > 0
    counts = [_edge_to_edge(each) for each in (dark, dark.T)]
    if bool(counts[0]) == bool(counts[1]):
        return None
    count = max(counts)
    streaks = "a streak runs" if count == 1 else f"{count} streaks run"
    return Code.UNREGISTERED, f"{streaks} over the page: clean the scanner and scan it again"


def _edge_to_edge(dark: np.ndarray) -> int:
    """The number of narrow upright lines from the upper edge to the lower one, but for tables'."""
    height, width = dark.shape
    rim = max(2, height // 100)
    ends = dark[:rim].mean(axis=0), dark[-rim:].mean(axis=0)
    along = (dark.mean(axis=0) > _STREAK) & (np.minimum(*ends) > _STREAK)
    changes = np.flatnonzero(np.diff(np.pad(along.astype(np.int8), 1))).reshape(-1, 2)
    narrow = [(a, b) for a, b in changes.tolist() if b - a <= max(3, _WIDEST * width)]
    return 0 if any(_edge_of_table(dark, a, b) for a, b in narrow) else len(narrow)


def _edge_of_table(dark: np.ndarray, left: int, right: int) -> bool:
    """Whether lines end at this one, all on the same side: they pass through a streak."""
    beside = (dark[:, max(0, left - _RUN) : left], dark[:, right : right + _RUN])
    met = [
        side.all(axis=1) if side.shape[1] == _RUN else np.zeros(len(dark), bool) for side in beside
    ]
    one_side = int((met[0] != met[1]).sum())
    return one_side >= _LEAST_MET and one_side > 3 * int((met[0] & met[1]).sum())


def _cut_off(
    page: Page, overview: Overview, form: Form, refused: Sequence[Verification]
) -> Verdict | None:
    """The part of the form that was seen continues beyond the picture, or the picture is short."""
    if any(
        _BEYOND[0] <= each.beyond <= _BEYOND[1] and each.seen >= _PARTLY_SEEN * (1 - each.beyond)
        for each in refused
    ):
        return Code.CUT_OFF, "a part of the page is missing: scan the whole page"
    wanted = form.page.sheet_ratio
    if wanted is None or form.page.width is None or form.page.height is None:
        return None
    short, long = sorted(side * overview.scale_x for side in overview.grey.shape)
    if 1 / _SHAPE < long / short / wanted < _SHAPE:
        return None
    paper = sorted((form.page.width, form.page.height))
    if page.dpi:
        mm = short * page.step / page.dpi * 25.4, long * page.step / page.dpi * 25.4
        if any(
            abs(side / paper[n] - 1) < _FITS and other < paper[1 - n] * (1 - _FITS)
            for side, other in (mm, mm[::-1])
            for n in (0, 1)
        ):
            return Code.CUT_OFF, "a part of the page is missing: scan the whole page"
    doubled = 1 / _SHAPE < (long / short) / (2 * wanted) < _SHAPE or (
        1 / _SHAPE < (long / short) / (2 / wanted) < _SHAPE
    )
    what = "does it show two pages" if doubled else "is a part missing"
    return Code.UNREGISTERED, (
        f"{form.name} was not found, and the picture's sides are 1 to {long / short:.2f}, the "
        f"page's 1 to {wanted:.2f}; {what}, or is it another form? Scan each page whole, "
        "by itself"
    )


def _at_best(form: Form, page_number: int, refused: Sequence[Verification]) -> str:
    best = max(refused, key=lambda each: (each.marks, each.seen), default=None)
    if best is None and form.registration_of(page_number).marks is not None:
        return (
            f"fewer than three marks of {form.name} were found: covered, cut off or another form?"
        )
    if best is None:
        return f"nothing of {form.name} was found: is it another form, or too pale?"
    return f"{best.reason}: {best.remedy or 'scan it again, flat and whole'}"
