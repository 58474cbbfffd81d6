"""The blank form learnt from filled scans: aligned with each other, then a rank of every pixel.

Print is what nearly all scans show. The plain median would also keep what half of the writers
share, such as the ones in a last box; so a pixel is print only if it is dark in seven of ten scans.
Thin lines would then be lost where paper and feeders move them by a pixel or two, so each scan's
lines are first moved onto those of the first scan, part by part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.intake import Page
from inkmill.forms.locate.features import alignment
from inkmill.forms.locate.vision.overview import Overview
from inkmill.forms.make.finding.runs import straight_runs
from inkmill.forms.make.finding.straightening import sized, straightened

Grey = NDArray[np.uint8]

#: Least number of filled scans: fewer leave handwriting in the blank.
LEAST_SCANS = 5
#: A pixel's brightness in the blank is this quantile of its brightness in the scans.
_RANK = 0.72
#: Lines are moved by at most this part of the page's longer side (0.9 mm of A4), all those in a
#: window of this part of it alike, found for squares of so many pixels.
_FURTHEST, _WINDOW, _PART = 0.003, 0.06, 8
#: More scans than this make it no better.
_MOST_SCANS = 40


@dataclass(frozen=True)
class LearntBlank:
    """``grey`` uint8 (height, width) is the empty form, learnt from ``used`` scans.

    ``refused`` are the numbers, from 0, of the scans that could not be aligned.
    """

    grey: Grey
    used: int
    refused: tuple[int, ...]


def learn_blank(pages: Iterable[Page]) -> LearntBlank:
    """The empty form from at least five filled scans; of a single page, that page.

    The others are aligned with the first page, which must be complete. Raises UsageError if fewer
    than five can be aligned.
    """
    scans = [sized(page.grey) for page, _ in zip(pages, range(_MOST_SCANS), strict=False)]
    if len(scans) == 1:
        return LearntBlank(straightened(scans[0]), 1, ())
    first = straightened(scans[0])
    size = (first.shape[1], first.shape[0])
    aligned, refused = [first], []
    lines = _runs(first)
    for number, scan in enumerate(scans[1:], 1):
        change = alignment(scan, first)
        if change is None:
            refused.append(number)
            continue
        laid = cv2.warpPerspective(scan, change, size, borderValue=(255,) * 3)
        aligned.append(_onto_lines(np.asarray(laid, np.uint8), lines))
    if len(aligned) < LEAST_SCANS:
        raise UsageError(
            f"{len(refused)} of {len(scans)} scans do not show the same form as the first: "
            "give scans of one form only, a complete one first"
        )
    return LearntBlank(_common(aligned), len(aligned), tuple(refused))


def _runs(grey: Grey) -> tuple[Grey, Grey]:
    """The straight lines of a page: its level and its upright ones."""
    return straight_runs(Overview.of(grey, longest=max(grey.shape)).lines)


def _onto_lines(grey: Grey, lines: tuple[Grey, Grey]) -> Grey:
    """The page, its straight lines moved onto ``lines``, wherever they are a little off."""
    level, upright = _runs(grey)
    across, down = _shift(upright, lines[1], axis=1), _shift(level, lines[0], axis=0)
    height, width = grey.shape
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    moved = cv2.remap(
        grey,
        np.asarray(columns + across, np.float32),
        np.asarray(rows[:, None] + down, np.float32),
        cv2.INTER_LINEAR,
        borderValue=(255,) * 3,
    )
    return np.asarray(moved, np.uint8)


def _shift(mine: Grey, theirs: Grey, axis: int) -> NDArray[np.float32]:
    """How far from each pixel, along ``axis``, this page shows the same lines: float32 pixels.

    The shift at which most line pixels around coincide; where there are none, that of the lines
    nearby.
    """
    furthest = max(2, round(_FURTHEST * max(mine.shape)))
    window = (round(_WINDOW * max(mine.shape)) | 1,) * 2
    small = (max(1, mine.shape[1] // _PART), max(1, mine.shape[0] // _PART))
    best, shift = np.zeros(small[::-1], np.float32), np.zeros(small[::-1], np.float32)
    for step in sorted(range(-furthest, furthest + 1), key=abs):
        both = cv2.bitwise_and(np.roll(mine, -step, axis=axis), theirs)
        met = cv2.resize(both, small, interpolation=cv2.INTER_AREA).astype(np.float32)
        met = cv2.boxFilter(met, -1, tuple(max(1, side // _PART) | 1 for side in window))
        # The least shift, if others are hardly better.
        better = met > best * 1.05 + 1e-3
        best, shift = np.where(better, met, best), np.where(better, np.float32(step), shift)
    spread = window[0] / _PART / 4
    weight = cv2.GaussianBlur(best, (0, 0), spread)
    even = cv2.GaussianBlur(best * shift, (0, 0), spread) / np.maximum(weight, 1e-3)
    return np.asarray(cv2.resize(even, mine.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _common(aligned: list[Grey]) -> Grey:
    """The rank of every pixel, in strips, since forty pages at once would fill the memory."""
    rank = min(len(aligned) - 1, round(_RANK * (len(aligned) - 1)))
    result = np.empty_like(aligned[0])
    for start in range(0, result.shape[0], 128):
        rows = np.stack([page[start : start + 128] for page in aligned])
        result[start : start + 128] = np.partition(rows, rank, axis=0)[rank]
    return result
