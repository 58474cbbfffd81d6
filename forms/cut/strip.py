"""The one way from a grey strip to the picture that a strip reader reads: training and serving.

A strip is a line of handwriting that has no cells: an amount, a total, a year. Grey strip -> level
the paper -> scale ink strength -> find digit height -> scale to that height -> cut to the
ink. Unlike ``normalise``, ink is not cut out of its paper: where strokes touch or a ground is
printed, that decision is the network's.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.forms.cut.normalise import LEAST_CONTRAST, is_light_on_dark

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Height of a strip as the network reads it, and of its digits, in pixels.
HEIGHT, DIGIT_HEIGHT = 40, 28
#: Most of the height that digits and what rises above them may take.
_MOST_HEIGHT = 38
#: Narrowest and widest strip that is returned; wider ones are compressed.
LEAST_WIDTH, MOST_WIDTH = 16, 640
#: Paper on either side of the ink, in pixels of the result.
_MARGIN = 8
#: Higher strips are first reduced to this height in pixels: a stroke still has several.
_WORKING = 120
#: The paper's level is what remains when strokes up to this share of the height are taken away.
_STROKE = 0.3
#: Below the first share of the typical ink's strength there is only paper and faint print; from
#: the second on a pixel is ink in full.
_FAINT, _FULL = 0.2, 0.8
#: A pixel is ink if it has this share of the typical ink's strength.
_INK = 0.45
#: A part with this share of the tallest one's height counts as a digit.
_TALL = 0.4
#: Digits are at least this share of the strip's height: a dot or a dash is not enlarged to one.
_LEAST_DIGIT = 0.25
#: Digits that touch are together at most so many times as wide as high; a dash is wider.
_MOST_JOINED = 12
#: A line covers this share of the width, and is longer than a digit's stroke can be.
_LINE, _LONGER = 0.6, 1.2
#: Parts that touch the upper or lower edge and end within this share of the height are remains
#: of what stands above or below.
_EDGE = 0.2


def normalise_strip(grey: Grey) -> Grey | None:
    """Turn a grey strip into the picture that a strip reader reads; None if it has no ink.

    ``grey`` is uint8 (height, width), dark ink on white or light on dark. The result is uint8
    (``HEIGHT``, width), white ink on black, width ``LEAST_WIDTH`` to ``MOST_WIDTH``; digits are
    about ``DIGIT_HEIGHT`` pixels high. Lines under or through the number do not decide
    about its size, but stay in the picture.

    Raises UsageError for an array of another shape or type.
    """
    if grey.ndim != 2 or grey.dtype != np.uint8 or grey.size == 0:
        raise UsageError(
            f"normalise_strip needs a grey image, uint8 (height, width): got {grey.dtype} "
            f"{grey.shape}"
        )
    light = grey if is_light_on_dark(grey) else np.asarray(cv2.bitwise_not(grey), np.uint8)
    strength = _strength(_reduced(light))
    typical = _typical(strength)
    if typical < LEAST_CONTRAST:
        return None
    parts = _parts(strength >= max(LEAST_CONTRAST, _INK * typical))
    if not len(parts):
        return None
    ink = (strength / typical - _FAINT) * (255 / (_FULL - _FAINT))
    return _placed(np.clip(ink, 0, 255).astype(np.uint8), parts)


def _reduced(light: Grey) -> Grey:
    height, width = light.shape
    if height <= _WORKING:
        return light
    size = (max(1, round(width * _WORKING / height)), _WORKING)
    return np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.uint8)


def _strength(light: Grey) -> Floats:
    """How much lighter than the paper around it each pixel is, float32 (height, width)."""
    reach = max(3, round(_STROKE * light.shape[0])) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (reach, reach))
    # Softened before the opening, or noise would pull the paper down to its darkest pixels.
    soft = cv2.GaussianBlur(light, (0, 0), 1.0)
    paper = cv2.blur(cv2.morphologyEx(soft, cv2.MORPH_OPEN, kernel), (reach, reach))
    level = light.astype(np.float32) - paper.astype(np.float32)
    # The opening takes the lower side of the paper's texture; its middle is the paper.
    return np.asarray(np.maximum(level - max(0.0, float(np.median(level))), 0), np.float32)


def _typical(strength: Floats) -> float:
    """The strength of the ink: above Otsu's threshold, not the maximum, which may be a speck."""
    whole = np.minimum(strength, 255).astype(np.uint8)
    level, _ = cv2.threshold(whole, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    ink = strength[strength > max(level, LEAST_CONTRAST)]
    return float(np.percentile(ink, 70)) if ink.size else 0.0


def _parts(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The parts of the writing: left, top, width, height of each, int32 (n, 4)."""
    height, width = mask.shape
    ink = mask.view(np.uint8)
    long = min(width, max(round(_LINE * width), round(_LONGER * height)))
    # A line may be crooked by a pixel or two.
    thick = cv2.dilate(ink, np.ones((3, 1), np.uint8))
    lines = cv2.morphologyEx(thick, cv2.MORPH_OPEN, np.ones((1, long), np.uint8))
    if long > _LONGER * height / 2:
        ink = ink & ~lines
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    parts = np.asarray(stats[1:], np.int32)
    top, bottom = parts[:, 1], parts[:, 1] + parts[:, 3]
    above = (top == 0) & (bottom <= _EDGE * height)
    below = (bottom == height) & (top >= (1 - _EDGE) * height)
    # A speck of a pixel or two is neither a digit nor a separator.
    speck = parts[:, 4] < max(3.0, (0.04 * height) ** 2)
    return parts[~(above | below | speck), :4]


def _placed(ink: Grey, parts: NDArray[np.int32]) -> Grey:
    """Ink scaled so that digits have their height, cut to the parts' columns."""
    tall = parts[parts[:, 3] >= _TALL * parts[:, 3].max()]
    digit = max(
        float(np.median(tall[:, 3])),
        _LEAST_DIGIT * ink.shape[0],
        float(tall[:, 2].max()) / _MOST_JOINED,
    )
    top, bottom = int(tall[:, 1].min()), int((tall[:, 1] + tall[:, 3]).max())
    scale = min(DIGIT_HEIGHT / digit, _MOST_HEIGHT / (bottom - top))
    left, right = int(parts[:, 0].min()), int((parts[:, 0] + parts[:, 2]).max())
    width = round((right - left) * scale) + 2 * _MARGIN
    across = scale
    if width > MOST_WIDTH:
        width = MOST_WIDTH
        across = (MOST_WIDTH - 2 * _MARGIN) / (right - left)
    width = max(width, LEAST_WIDTH)
    if scale < 1:
        # Averaged before it is sampled, as a scanner does.
        ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), 0.4 / scale), np.uint8)
    shift_x = width / 2 - across * (left + right) / 2
    shift_y = HEIGHT / 2 - scale * (top + bottom) / 2
    matrix = np.array([[across, 0, shift_x], [0, scale, shift_y]], np.float64)
    return np.asarray(
        cv2.warpAffine(ink, matrix, (width, HEIGHT), flags=cv2.INTER_LINEAR), np.uint8
    )
