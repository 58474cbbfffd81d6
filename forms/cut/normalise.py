"""The one way from a grey cell to a crop, for training and for serving.

Grey image -> find the ink, whatever the polarity -> keep significant components -> tight box ->
longest side to 20 px, aspect kept, area interpolation -> centre of mass to the centre of 28x28 ->
brightest ink 255. MNIST's authors made their images this way, and the network expects it; for
another input size all measures are scaled in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.cut.filters import Filter, apply_filters

Grey = NDArray[np.uint8]

#: MNIST's digits fill a box of 20 px of their 28 px.
BOX = 20 / 28
#: Larger images are first reduced to this many times the crop's size: with 8 a stroke in a form
#: cell still has several pixels, and a photo of 12 megapixels costs 10 ms instead of seconds.
WORKING = 8
#: Ink differs from the paper by at least this many grey levels ...
LEAST_CONTRAST = 14
#: ... and this many standard deviations of the paper's noise.
NOISE = 4.0
#: ... and has at least this share of the typical ink's strength. A lower share keeps more of a
#: faint stroke's ends, a higher one keeps less of the paper's texture.
STRENGTH = 0.4
#: A component with less than this share of the largest one's area is a speck.
SPECK = 0.06
#: The longest component of a digit has at least this share of the image's shorter side.
LEAST_SIDE = 0.1
#: Width of the strip along the edges for remains of box lines and neighbours' strokes ...
EDGE = 0.15
#: ... which touch the edge and have less than this share of their ink inside the strip. A digit
#: that was cut to its own outline does too: it neither stays in the strip of one side, as a
#: neighbour's stroke does, nor covers this part of a side with a line this thin, as a part of the
#: shorter side.
INSIDE = 0.08
_LINE_COVER, _LINE_THIN = 0.8, 0.1
#: A box is printed all around if the edges are of one kind to this far from a half, and differ by
#: more than this from what lies inside them. A digit that touches the edges does so in places.
_WHOLE, _FRAMED = 0.47, 0.75
#: With this share of its pixels on the darker (or lighter) side of the middle, an image may be
#: more ink than paper: a digit cut to its outline. The paper is then what lies along the edge.
CROWDED = 0.25


def normalise(grey: Grey, size: int = 28, filters: Sequence[Filter] = ()) -> Grey | None:
    """Turn a grey cell or digit image into a crop; None if it has no ink.

    ``grey`` is uint8 (height, width), dark ink on white or light on dark. The result is uint8
    (size, size), white ink on black, its brightest pixel 255. An image that is light on dark and
    already has the crop's size is returned unchanged. ``filters`` must be checked
    (`inkmill.forms.cut.filters`); they are applied before the ink is found.

    Raises UsageError for an array of another shape or type.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or grey.size == 0:
        raise UsageError(
            f"normalise needs a grey image, uint8 (height, width): got {grey.dtype} {grey.shape}"
        )
    light = is_light_on_dark(grey)
    ready = light and grey.shape == (size, size)
    if ready and not filters:
        return grey if cv2.minMaxLoc(grey)[1] >= LEAST_CONTRAST else None
    image = _reduce(grey, size)
    image = image if light else cv2.bitwise_not(image)
    image = apply_filters(image, filters)
    if ready:
        return image if cv2.minMaxLoc(image)[1] >= LEAST_CONTRAST else None
    ink = find_ink(image)
    return None if ink is None else _place(ink, size)


def is_light_on_dark(grey: Grey) -> bool:
    """Whether the ink of a grey image is lighter than its background."""
    # Ink covers less of a cell than paper does, so the mean is on the paper's side.
    low, high, _, _ = cv2.minMaxLoc(grey)
    middle = (low + high) / 2
    if high > low and _is_crowded(int(np.count_nonzero(grey > middle)), grey.size):
        return _is_dark_outside(grey > middle)
    return bool(cv2.mean(grey)[0] < middle)


def _is_dark_outside(light: NDArray[np.bool_]) -> bool:
    """Whether the background of a crowded image is its dark pixels, by what lies along its edges.

    ``light`` bool (height, width) are the pixels above the middle.
    """
    down, across = (max(1, side // 12) for side in light.shape)
    edge = _ring(light, 0, 0)
    within = _ring(light, round(EDGE * light.shape[0]), round(EDGE * light.shape[1]))
    if abs(edge - 0.5) > _WHOLE and abs(edge - within) > _FRAMED:
        return within < 0.5  # a printed box all around: the paper is inside it
    # Strokes reach the edges at some places, and a corner rarely.
    rows, columns = _ends(light.shape[0], down), _ends(light.shape[1], across)
    return float(edge + light[np.ix_(rows, columns)].mean()) < 1


def _ring(light: NDArray[np.bool_], down: int, across: int) -> float:
    """The light share of the pixels on a rectangle, so far inside the image's edges."""
    inner = light[down : light.shape[0] - down, across : light.shape[1] - across]
    if not inner.size:
        return 0.5
    return float(np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]]).mean())


def _ends(length: int, count: int) -> NDArray[np.int64]:
    """The first and the last places of a range."""
    return np.concatenate([np.arange(count), np.arange(length - count, length)])


def _is_crowded(lighter: int, size: int) -> bool:
    return min(lighter, size - lighter) > CROWDED * size


def _reduce(grey: Grey, size: int) -> Grey:
    longest = max(grey.shape)
    if longest <= size * WORKING:
        return grey
    scale = size * WORKING / longest
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def find_ink(light: Grey) -> Grey | None:
    """The significant ink of an image with light ink on dark, cut to its bounding box.

    The result is uint8: the ink's strength above the background, 0 where there is no significant
    ink. None if there is none at all.
    """
    paper, floor = _ground(light)
    # Not cv2.subtract, which takes an array of 4 x 1 for a scalar of another type.
    level = np.uint8(paper)
    strength = np.maximum(light, level) - level
    typical = _typical_ink(strength, floor)
    if typical is None:
        return None
    threshold = max(floor, STRENGTH * typical)
    mask = cv2.threshold(strength, threshold, 255, cv2.THRESH_BINARY)[1]
    # Join pieces first: a faint pencil or a bilevel scan breaks strokes.
    reach = 2 * round(min(light.shape) * 0.012) + 3
    joined = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_RECT, (reach, reach)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    kept = _significant(labels, stats[1:count], reach - 1)
    if not kept:
        return None
    if len(kept) < count - 1:
        table = np.zeros(count, np.uint8)
        table[[1 + each for each in kept]] = 255
        joined = table[labels]
    strength = cv2.bitwise_and(strength, joined)
    left, top, width, height = cv2.boundingRect(cv2.bitwise_and(mask, joined))
    return np.asarray(strength[top : top + height, left : left + width], np.uint8)


def _ground(light: Grey) -> tuple[float, float]:
    """The paper's level, and the least difference of ink from it."""
    counts = cv2.calcHist([light], [0], None, [256], [0, 256]).ravel()
    low, high, _, _ = cv2.minMaxLoc(light)
    middle = int((low + high) // 2)
    if high > low and counts[middle + 1 :].sum() > CROWDED * light.size:
        counts[middle + 1 :] = 0
    cumulated = np.cumsum(counts)
    # Noise is estimated on the side without ink, from the 16th percentile of the paper.
    paper, below = np.searchsorted(cumulated, [0.5 * cumulated[-1], 0.16 * cumulated[-1]])
    return float(paper), max(LEAST_CONTRAST, NOISE * float(paper - below))


def _typical_ink(strength: Grey, floor: float) -> float | None:
    counts = cv2.calcHist([strength], [0], None, [256], [0, 256]).ravel()
    counts[: int(floor)] = 0
    total = counts.sum()
    if not total:
        return None
    # Not the maximum: a speck of dirt may be far darker than a pencil.
    return float(np.searchsorted(np.cumsum(counts), 0.75 * total))


def _significant(labels: NDArray[np.int32], stats: NDArray[np.int32], thickened: int) -> list[int]:
    """Which components are the digit: neither specks nor strokes that reach in from the edge.

    ``stats`` are OpenCV's for each component (left, top, width, height, area), of ink that was
    dilated by ``thickened`` pixels.
    """
    rows, columns = labels.shape
    parts: list[list[int]] = stats.tolist()
    touching = [
        left == 0 or top == 0 or left + width == columns or top + height == rows
        for left, top, width, height, _ in parts
    ]
    if any(touching):
        down, across = round(EDGE * rows), round(EDGE * columns)
        inside = labels[down : rows - down, across : columns - across]
        ink = np.bincount(inside.ravel(), minlength=len(parts) + 1)[1:].tolist()
        touching = [
            touches
            and ink[number] < INSIDE * parts[number][4]
            and _is_foreign(labels == number + 1, parts[number], thickened)
            for number, touches in enumerate(touching)
        ]
    inner = [number for number, out in enumerate(touching) if not out]
    least = LEAST_SIDE * min(rows, columns) + thickened
    if not any(max(parts[number][2:4]) >= least for number in inner):
        return []
    largest = max(parts[number][4] for number in inner)
    return [number for number in inner if parts[number][4] >= SPECK * largest]


def _is_foreign(part: NDArray[np.bool_], stats: Sequence[int], thickened: int) -> bool:
    """Whether ink along the edges is a neighbour's stroke or a printed line, and not a digit.

    ``part`` is a component, bool (height, width), that was dilated by ``thickened`` pixels.
    """
    rows, columns = part.shape
    left, top, width, height = stats[:4]
    down, across = round(EDGE * rows), round(EDGE * columns)
    if left + width <= across or left >= columns - across:
        return True
    if top + height <= down or top >= rows - down:
        return True
    thin = _LINE_THIN * min(rows, columns) + thickened
    sides = (part[:down], part[::-1][:down], part.T[:across], part.T[::-1][:across])
    for side in sides:
        at_edge = side[: thickened // 2 + 1].any(axis=0)
        if at_edge.mean() >= _LINE_COVER and np.median(side.sum(axis=0)[at_edge]) <= thin:
            return True
    return False


def _place(ink: Grey, size: int) -> Grey:
    """Scale ink to MNIST's box and put its centre of mass at the crop's centre."""
    height, width = ink.shape
    scale = size * BOX / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    shrinks = scale < 1
    small: Any = cv2.resize(
        ink,
        (new_width, new_height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    moments = cv2.moments(small)
    centre = (size - 1) / 2
    left = round(centre - moments["m10"] / moments["m00"])
    top = round(centre - moments["m01"] / moments["m00"])
    # A very lopsided digit would leave the crop; MNIST's digits never do.
    left = min(max(left, 0), size - new_width)
    top = min(max(top, 0), size - new_height)
    crop = np.zeros((size, size), np.uint8)
    brightest = cv2.minMaxLoc(small)[1]
    crop[top : top + new_height, left : left + new_width] = cv2.convertScaleAbs(
        small, alpha=255.0 / max(brightest, 1.0)
    )
    return crop
