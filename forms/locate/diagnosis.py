"""Why a page could not be located, in words that say what to do."""

from __future__ import annotations

import cv2
import numpy as np

from inkmill.codes import Code
from inkmill.forms.locate.overview import Overview
from inkmill.forms.locate.verification import Verification
from inkmill.template.form import Form

#: A page with a smaller share of ink than this is blank.
_BLANK = 0.0015
#: Print less dark than this, in levels of 255, is faint.
_FAINT = 40.0
#: A page with fewer pixels than this along its longer side is too small.
_SMALL = 300
#: A column darker than its neighbours over this part of the page's height is a streak.
_STREAK = 0.9


def explain(overview: Overview, form: Form, refused: list[Verification]) -> tuple[Code, str]:
    """Code and message for a page that could not be located.

    ``refused`` are the verifications of all proposals, in order; there may be none.
    """
    height, width = overview.grey.shape
    ink = float((overview.lines > 0).mean())
    if overview.darkness < 12 or ink < _BLANK:
        return Code.BLANK_PAGE, "the page is blank: leave it out, or scan its other side"
    if max(height * overview.scale_y, width * overview.scale_x) < _SMALL:
        return Code.WRONG_SIZE, (
            f"{round(width * overview.scale_x)} x {round(height * overview.scale_y)} pixels are "
            "too few for a page: scan at 150 dpi or more"
        )
    wrong = next((each for each in refused if each.code is Code.WRONG_FORM), None)
    if wrong is not None:
        return Code.WRONG_FORM, f"{wrong.reason}: give its own template with --form"
    if overview.darkness < _FAINT:
        return Code.FAINT, "print and ink are hardly darker than the paper: scan it darker"
    streaks = _streaks(overview)
    if streaks:
        return Code.UNREGISTERED, f"{streaks} over the page: clean the scanner and scan it again"
    if _looks_cut(overview, form):
        return Code.CUT_OFF, "a part of the page is missing: scan the whole page"
    best = max(refused, key=lambda each: each.marks, default=None)
    if best is None:
        return Code.UNREGISTERED, (
            f"fewer than three marks of {form.name} were found: covered, cut off or another form?"
        )
    return Code.UNREGISTERED, f"{best.reason}: scan it again, flat and whole"


def _streaks(overview: Overview) -> str:
    """Dark lines over the whole page, in words; they are dirt on the glass, not print."""
    dark = overview.lines > 0
    upright = int(np.count_nonzero(np.diff((dark.mean(axis=0) > _STREAK).astype(np.int8)) == 1))
    level = int(np.count_nonzero(np.diff((dark.mean(axis=1) > _STREAK).astype(np.int8)) == 1))
    count = max(upright, level)
    if not count:
        return ""
    return "a streak runs" if count == 1 else f"{count} streaks run"


def _looks_cut(overview: Overview, form: Form) -> bool:
    """Whether the picture's aspect differs from the page's, or print runs into its edge."""
    height, width = overview.grey.shape
    if form.page.unit == "mm" and form.page.width and form.page.height:
        wanted = max(form.page.width, form.page.height) / min(form.page.width, form.page.height)
        seen = max(height, width) / min(height, width)
        if abs(np.log(seen / wanted)) > np.log(1.2):
            return True
    solid = overview.solid()
    rim = np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]])
    return 0.02 < float(cv2.countNonZero(rim)) / len(rim) < 0.5
