"""Locate the template on a page by its corner marks, or by its printed boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, Points, apply, fit_perspective, inverse
from inkmill.forms.locate.vision.constellation import (
    Hypothesis,
    hypotheses,
    hypothesis_of,
    matches,
)
from inkmill.forms.locate.vision.evidence import Outlines, glanced_at, near_lines, seen_lines
from inkmill.forms.locate.vision.expected import where_expected
from inkmill.forms.locate.vision.marks import Candidates, find_candidates
from inkmill.forms.locate.vision.overview import Overview
from inkmill.template.form import Form
from inkmill.template.registration import Marks

#: Darkness of marks that is tried in turn, as a part of the page's darkest print: streaks and
#: specks of dirt can be far darker than a faint form.
_DARKNESS = (0.5, 0.2, 0.08)
#: While the page is not yet in place, a line counts as met within this many overview pixels.
_REACH = 2
#: With four marks, a first look that finds this much evidence ends the search.
_SURE = 0.65
#: With four marks this close to an affine page (as a part of the diagonal), the scan is flat.
_FLAT = 0.008
#: Hypotheses of one kind that are refined and verified.
_FINALISTS = 3


@dataclass(frozen=True)
class Proposal:
    """One way to place the template on a page, to be refined and verified.

    ``transform`` maps template units to overview pixels; ``held`` float64 (k, 2) are places in
    template units that are known to be right (marks), ``marks`` the number of corner marks found;
    ``stretch`` how far the marks are from an affine page, as a part of the diagonal; ``residual``
    their misfit in template units; ``rounds`` how often the boxes may correct the transform;
    ``found_at`` (k, 2) are the overview pixels of ``held``, where marks were found;
    ``held_by_print`` says that so much of the blank's print was seen that the page cannot lie
    otherwise.
    """

    transform: Matrix
    held: Points
    marks: int
    method: str
    stretch: float = 0.0
    residual: float = 0.0
    rounds: int = 2
    found_at: Points = field(default_factory=lambda: np.empty((0, 2)))
    held_by_print: bool = False


# --- corner marks ----------------------------------------------------------------------------


def by_marks(
    overview: Overview, form: Form, marks: Marks, outlines: Outlines
) -> Iterator[Proposal]:
    """Proposals from four or three corner marks, the most likely first."""
    aspect = form.page.unit_aspect
    sizes = _mark_sizes(overview, form, marks)
    for candidates in where_expected(form.hash, marks, overview, sizes):
        expected = hypothesis_of(marks, candidates, aspect, max(overview.grey.shape))
        if expected is not None and _is_sure(expected, marks, candidates, outlines, overview):
            yield _with_all_marks(expected, marks, candidates)
    seen_before: set[int] = set()
    for darkness in _DARKNESS:
        candidates = find_candidates(overview, marks.shape, *sizes, darkness)
        if len(candidates) in seen_before:
            continue
        seen_before.add(len(candidates))
        found = hypotheses(marks, candidates, aspect, max(overview.grey.shape))
        for each in _finalists(found, marks, candidates, outlines, overview):
            yield _with_all_marks(each, marks, candidates)


def _is_sure(
    found: Hypothesis, marks: Marks, candidates: Candidates, outlines: Outlines, overview: Overview
) -> bool:
    """Whether so many boxes are seen at a first look that the search may end."""
    transform = found.transform(np.array(marks.at[:4], np.float64), candidates)
    return glanced_at(outlines, transform, overview, _REACH) >= _SURE


def _mark_sizes(overview: Overview, form: Form, marks: Marks) -> tuple[float, float]:
    """The smallest and the largest side that a mark may have, in overview pixels."""
    longest, shortest = max(overview.grey.shape), min(overview.grey.shape)
    if marks.size is None:
        low, high = 0.006 * longest, 0.06 * longest
    elif form.page.unit == "mm" and form.page.width and form.page.height:
        sides = sorted((form.page.width, form.page.height))
        pixels = min(longest / sides[1], shortest / sides[0]) * marks.size
        low, high = 0.5 * pixels, 1.35 * pixels
    else:
        low, high = 0.4 * shortest * marks.size, 1.2 * shortest * marks.size
    return max(4.0, low), high


def _finalists(
    found: list[Hypothesis],
    marks: Marks,
    candidates: Candidates,
    outlines: Outlines,
    overview: Overview,
) -> list[Hypothesis]:
    """The hypotheses with the best evidence from a first look at boxes and odd mark."""
    near = near_lines(overview, _REACH)
    corners = np.array(marks.at[:4], np.float64)
    scored: list[tuple[float, Hypothesis]] = []
    sure: Hypothesis | None = None
    for each in found:
        # A speck beside a mark makes a page that fits nearly as well.
        if sure is not None and not each.differs_by_one(sure):
            continue
        transform = each.transform(corners, candidates)
        seen = seen_lines(outlines.glance, transform, near)
        odd = 0.5 * ink_at(overview, transform, marks.odd.at) if marks.odd is not None else 0.0
        scored.append((seen + odd + 0.05 * len(each.matched) - 0.3 * each.misfit, each))
        if sure is None and seen >= _SURE and len(each.matched) == 4:
            sure = each
    scored.sort(key=lambda pair: -pair[0])
    return [each for _, each in scored[:_FINALISTS]]


def ink_at(overview: Overview, transform: Matrix, at: tuple[float, float]) -> float:
    """How dark the page is around a place, 0 to 1: whether an odd mark is there."""
    x, y = apply(transform, np.array([at]))[0]
    height, width = overview.grey.shape
    if not (1 <= x < width - 2 and 1 <= y < height - 2):
        return 0.0
    window = overview.grey[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
    return min(1.0, (255.0 - float(window.mean())) / max(overview.darkness, 1.0))


def _with_all_marks(found: Hypothesis, marks: Marks, candidates: Candidates) -> Proposal:
    """The hypothesis with all marks that fit it, not only those in the corners."""
    at = np.array(marks.at, np.float64)
    transform = found.transform(at[:4], candidates)
    reach = 0.6 * float(np.median(candidates.sizes))
    pairs = matches(marks, transform, candidates, reach)
    if len(pairs) > 4:
        mine, theirs = (list(each) for each in zip(*pairs, strict=True))
        transform = fit_perspective(at[mine], candidates.centres[theirs])
    held = at[[mark for mark, _ in pairs]]
    points = candidates.centres[[candidate for _, candidate in pairs]]
    off = apply(inverse(transform), points) - held
    residual = float(np.sqrt((off**2).sum(axis=1).mean())) if len(pairs) else 0.0
    count = len(found.matched)
    rounds = 1 if count == 4 and found.misfit < _FLAT else 2
    return Proposal(
        transform,
        held=held,
        marks=count,
        method="marks",
        stretch=found.misfit,
        residual=residual,
        rounds=rounds,
        found_at=points,
    )


# --- printed boxes -----------------------------------------------------------------------------

#: Longest side of the picture in which boxes are searched for, in pixels.
_COARSE = 360
#: A picture of which more than this part is lines is of a texture, and a search in it slow.
_TEXTURE = 0.3
#: Page sizes that are tried, as parts of the one that fills the picture.
_SIZES = np.arange(0.80, 1.101, 0.02)


def by_boxes(overview: Overview, form: Form, outlines: Outlines) -> Iterator[Proposal]:
    """Proposals from the printed boxes alone: where their pattern matches the page's lines.

    For pages whose marks are covered or cut off. All four orientations and a range of sizes are
    tried by correlation. The page must fill the scan, unlike a photo of a page on a table, whose
    texture is of lines all over.
    """
    if cv2.countNonZero(overview.lines) > _TEXTURE * overview.lines.size:
        return
    step = max(1.0, max(overview.grey.shape) / _COARSE)
    angle = skew(overview)
    lines = _coarse(overview.lines, step)
    near = near_lines(overview, _REACH + 1)
    scored: list[tuple[float, Matrix]] = []
    for quarter in range(4):
        for start in _starts(form, overview, quarter, angle):
            for transform in _best_places(lines, outlines, start, step):
                scored.append((seen_lines(outlines, transform, near), transform))
    scored.sort(key=lambda pair: -pair[0])
    for _, transform in scored[:_FINALISTS]:
        yield Proposal(transform, np.empty((0, 2)), 0, "boxes", rounds=4)


def skew(overview: Overview) -> float:
    """The angle of the page's lines in radians, within a few degrees of upright."""
    long = max(overview.grey.shape) // 12
    found = cv2.HoughLinesP(overview.lines, 1, np.pi / 1440, 80, minLineLength=long, maxLineGap=3)
    if found is None:
        return 0.0
    ends = found.reshape(-1, 4).astype(np.float64)
    across, down = ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]
    angles = np.arctan2(down, across)
    bent = (angles + np.pi / 4) % (np.pi / 2) - np.pi / 4
    lengths = np.hypot(across, down)
    order = np.argsort(bent)
    middle = np.searchsorted(np.cumsum(lengths[order]), lengths.sum() / 2)
    return float(bent[order[min(int(middle), len(order) - 1)]])


def _coarse(lines: NDArray[np.uint8], step: float) -> NDArray[np.float32]:
    height, width = lines.shape
    small = cv2.resize(
        lines, (round(width / step), round(height / step)), interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    # Keep lines that are thinner than a pixel.
    return np.asarray(np.minimum(small * 2.5, 255.0) / 255.0, np.float32)


def _starts(form: Form, overview: Overview, quarter: int, angle: float) -> Iterator[Matrix]:
    """Transforms that centre the page in the picture, for one orientation, at all sizes."""
    height, width = overview.grey.shape
    turned = (height, width) if quarter % 2 else (width, height)
    page_width, page_height = _extent(form)
    turn = angle + quarter * np.pi / 2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    known = form.page.unit == "mm" or form.page.aspect is not None
    down = form.page.aspect or 1.0
    fit = min(turned[0] / page_width, turned[1] / (page_height * down))
    for size in _SIZES:
        pairs = (
            [(fit * size, fit * size * down)]
            if known
            else [
                (turned[0] / page_width * size, turned[1] / page_height * other) for other in _SIZES
            ]
        )
        for across, below in pairs:
            linear = rotation @ np.diag([across, below])
            middle = linear @ np.array([page_width / 2, page_height / 2])
            shift = np.array([width / 2, height / 2]) - middle
            yield np.vstack([np.column_stack([linear, shift]), [0.0, 0.0, 1.0]])


def _extent(form: Form) -> tuple[float, float]:
    """The page's size in template units; 1 by 1 for a frame."""
    if form.page.unit == "mm" and form.page.width and form.page.height:
        return form.page.width, form.page.height
    return 1.0, 1.0


def _best_places(
    lines: NDArray[np.float32], outlines: Outlines, start: Matrix, step: float
) -> list[Matrix]:
    """Where the pattern of boxes, turned and scaled by ``start``, matches the lines best."""
    edge = apply(start, outlines.edge) / step
    aside = apply(start, outlines.aside) / step
    low = np.floor(np.minimum(edge.min(axis=0), aside.min(axis=0))) - 1
    size = np.ceil(np.maximum(edge.max(axis=0), aside.max(axis=0)) - low).astype(int) + 2
    height, width = lines.shape
    if size[0] >= width * 1.02 or size[1] >= height * 1.02:
        return []
    pattern = np.zeros((size[1], size[0]), np.float32)
    for points, weight in ((aside, -0.5), (edge, 1.0)):
        places = np.rint(points - low).astype(int)
        pattern[places[:, 1], places[:, 0]] = weight
    pattern /= max(1.0, float((pattern > 0).sum()))
    border = max(2, round(0.04 * max(height, width)))
    padded = cv2.copyMakeBorder(lines, *(border,) * 4, cv2.BORDER_CONSTANT, value=0)
    agreement = cv2.matchTemplate(padded, pattern, cv2.TM_CCORR)
    _, _, _, (column, row) = cv2.minMaxLoc(agreement)
    shift = np.eye(3)
    shift[:2, 2] = (np.array([column - border, row - border]) - low) * step
    return [np.asarray(shift @ start, np.float64)]
