"""A photo of a sheet straightened by the sheet's outline, so that it looks like a scan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from inkmill.forms.geometry import Matrix, Points, inverse
from inkmill.forms.locate.shapes.quads import sheet_outlines
from inkmill.forms.locate.vision.overview import Grey

#: The straightened picture shows this much around the sheet, in parts of its sides: an outline is
#: never exact, and paper curls.
_MARGIN = 0.02
#: Longest side of the straightened picture in pixels.
_LONGEST = 2400
#: A sheet with less than this along its longer side, in pixels, cannot be read.
_LEAST = 300


@dataclass(frozen=True)
class Straightened:
    """A sheet as if it were scanned: ``grey`` uint8; ``to_page`` 3x3 maps its pixels back."""

    grey: Grey
    to_page: Matrix


def straightened_sheets(grey: Grey, ratio: float | None) -> Iterator[Straightened]:
    """The sheets that a picture may show, each straightened.

    ``grey`` uint8 (height, width); ``ratio`` is the longer side of the sheet divided by its
    shorter one, None if unknown.
    """
    for outline in sheet_outlines(grey):
        if not _is_whole_picture(outline, grey):
            yield from _straightened(grey, _from_top_left(outline), ratio)


def _is_whole_picture(outline: Points, grey: Grey) -> bool:
    """Whether the outline is that of the picture, which has been tried as it is."""
    height, width = grey.shape
    edges = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    away = np.linalg.norm(outline[:, None] - edges[None], axis=2).min(axis=0)
    return bool(away.max() < 0.03 * max(height, width))


def _from_top_left(outline: Points) -> Points:
    """The outline from the corner whose next side points most to the right: what is up stays up."""
    sides = np.roll(outline, -1, axis=0) - outline
    first = int(np.argmax(sides[:, 0] / np.linalg.norm(sides, axis=1)))
    return np.roll(outline, -first, axis=0)


def _straightened(grey: Grey, outline: Points, ratio: float | None) -> Iterator[Straightened]:
    sides = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1)
    across, down = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
    longest = min(max(sides), _LONGEST)
    if max(across, down) < _LEAST:
        return
    known = ratio or max(across, down) / min(across, down)
    shape = (longest, longest / known) if across > down else (longest / known, longest)
    size = np.array(shape) * (1 + 2 * _MARGIN)
    low = np.array(shape) * _MARGIN
    flat = low + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * shape
    to_flat = cv2.getPerspectiveTransform(outline.astype(np.float32), flat.astype(np.float32))
    straight = cv2.warpPerspective(
        grey,
        to_flat,
        (round(size[0]), round(size[1])),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    yield Straightened(np.asarray(straight, np.uint8), inverse(np.asarray(to_flat, np.float64)))
