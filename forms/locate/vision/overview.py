"""The overview: a page reduced to about 1,200 pixels, with even light, ink separated from paper.

Registration uses only this picture. An A4 page then has about 100 dpi, which still locates a mark
to a tenth of a pixel, 0.03 mm; and an A4 scan of 300 dpi costs a ninth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels

Grey = NDArray[np.uint8]
Points = NDArray[np.float64]

#: Longest side of the overview in pixels, approximately; at most twice that.
LONGEST = 1200
#: The paper's brightness is measured in a picture reduced further by this factor.
_PAPER_STEP = 8
#: Paper is taken to be at least this bright.
_DARKEST_PAPER = 40
#: Kernels are for pictures of so many pixels at least on each side.
_LEAST_SIDE = 3
#: Bounds of the grey level, with even light, below which a pixel is solid black print.
_SOLID = (90.0, 243.0)
#: A pixel of a line is darker than its neighbourhood by this many standard deviations of the
#: paper's noise, within these bounds in levels of 255.
_LINE_CONTRAST, _LINE_NOISE = (9.0, 40.0), 2.2
#: Paper noisier than this is smoothed before lines and marks are searched for.
_NOISY = 4.0


@dataclass(frozen=True)
class Overview:
    """A reduced page: ``grey`` is uint8 (height, width), paper 255, ink dark.

    ``scale_x`` and ``scale_y`` are the page's pixels for one pixel here.
    """

    grey: Grey
    scale_x: float
    scale_y: float

    @classmethod
    def of(cls, grey: Grey, taken: int = 1, longest: int = LONGEST) -> Overview:
        """The overview of a page, uint8 (height, width), about ``longest`` pixels long.

        The page has already been reduced by ``taken``.
        """
        step = max(1, round(max(grey.shape) * taken / longest))
        if (step, taken) == (3, 2):
            small, scale = _two_thirds(grey), 1.5
        else:
            scale = float(max(1, step // taken))
            small = shrunk(grey, int(scale))
        if cv2.mean(small)[0] < 110 and _mostly_dark(small):
            small = np.asarray(cv2.bitwise_not(small), np.uint8)
        return cls(_evened(small), scale, scale)

    @property
    def to_page(self) -> Points:
        """3x3: overview pixels to page pixels; centres are mapped to centres."""
        return np.array(
            [
                [self.scale_x, 0, (self.scale_x - 1) / 2],
                [0, self.scale_y, (self.scale_y - 1) / 2],
                [0, 0, 1],
            ]
        )

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the paper's noise, in levels.

        From the median difference of a pixel to the mean of its 3 x 3 neighbourhood, in the page's
        middle, where print covers less than half. For white noise that median is 0.636 of the
        standard deviation.
        """
        height = self.grey.shape[0]
        middle = self.grey[height // 3 : 2 * height // 3]
        cumulated = np.cumsum(_grain(middle)) / middle.size
        whole = int(np.searchsorted(cumulated, 0.5))
        below = float(cumulated[whole - 1]) if whole else 0.0
        part = (0.5 - below) / max(float(cumulated[whole]) - below, 1e-9)
        return max(0.0, whole - 0.5 + part) / 0.636

    @cached_property
    def smooth(self) -> Grey:
        """The overview, smoothed if it is noisy."""
        if self.noise <= _NOISY:
            return self.grey
        return np.asarray(cv2.GaussianBlur(self.grey, (0, 0), 1.0), np.uint8)

    @cached_property
    def darkness(self) -> float:
        """Darkness of the page's darkest print: 0 for white paper to 255 for black."""
        counts = _histogram(self.smooth, 2)
        return 255.0 - float(np.searchsorted(np.cumsum(counts), 0.001 * float(counts.sum())))

    def solid(self, part: float = 0.5) -> Grey:
        """Mask (0 or 255) of pixels darker than this part of the darkest print."""
        limit = min(max(255.0 - self.darkness * part, _SOLID[0]), _SOLID[1])
        return np.asarray(
            cv2.threshold(self.smooth, limit, 255, cv2.THRESH_BINARY_INV)[1], np.uint8
        )

    @cached_property
    def lines(self) -> Grey:
        """Mask (0 or 255) of pixels darker than their neighbourhood: print, ink, faint lines."""
        block = max(11, round(max(self.grey.shape) / 40) | 1)
        noise = self.noise if self.noise <= _NOISY else 0.4 * self.noise
        contrast = min(max(_LINE_CONTRAST[0], _LINE_NOISE * noise), _LINE_CONTRAST[1])
        return _darker_than_around(self.smooth, block, contrast)

    @cached_property
    def near(self) -> dict[int, Grey]:
        """A cache of `inkmill.forms.locate.vision.evidence.near_lines`, by its reach."""
        return {}

    @property
    def near_line(self) -> Grey:
        """255 on lines, less within two pixels of them; the same for thin and heavy lines."""
        return self._about_lines[1]

    @property
    def beside_line(self) -> Grey:
        """1 on lines and within a pixel of them, else 0."""
        return self._about_lines[0]

    @cached_property
    def _about_lines(self) -> tuple[Grey, Grey]:
        if kernels.enabled() and min(self.lines.shape) >= _LEAST_SIDE:
            from inkmill.forms.kernels.pages import near_lines

            beside, blurred = np.empty_like(self.lines), np.empty_like(self.lines)
            near_lines(self.lines, beside, blurred)
            return beside, blurred
        thick = cv2.dilate(self.lines, np.ones((3, 3), np.uint8))
        ones = cv2.threshold(thick, 0, 1, cv2.THRESH_BINARY)[1]
        blurred = np.asarray(cv2.GaussianBlur(thick, (5, 5), 0.8), np.uint8)
        return np.asarray(ones, np.uint8), blurred


def _grain(grey: Grey) -> NDArray[np.float32]:
    """How many pixels differ by each number of levels from the mean of 3 x 3 there: (256,)."""
    if kernels.enabled() and min(grey.shape) >= _LEAST_SIDE:
        from inkmill.forms.kernels.pages import count_grain

        return np.asarray(count_grain(np.ascontiguousarray(grey)), np.float32)
    return _histogram(np.asarray(cv2.absdiff(grey, cv2.blur(grey, (3, 3))), np.uint8))


def _darker_than_around(grey: Grey, block: int, contrast: float) -> Grey:
    """255 where pixels are darker than the mean of ``block`` x ``block`` by more, else 0."""
    if kernels.enabled() and min(grey.shape) > block:
        from inkmill.forms.kernels.pages import darker_than_around

        lines = np.empty_like(grey)
        darker_than_around(np.ascontiguousarray(grey), block, int(contrast) + 1, lines)
        return lines
    darker = cv2.subtract(cv2.blur(grey, (block, block)), grey)
    return np.asarray(cv2.threshold(darker, contrast, 255, cv2.THRESH_BINARY)[1], np.uint8)


def _histogram(grey: Grey, step: int = 1) -> NDArray[np.float32]:
    """How many pixels of each ``step``-th row and column have each level: float32 (256,)."""
    if kernels.enabled():
        from inkmill.forms.kernels.levels import histogram

        return histogram(np.ascontiguousarray(grey), step)
    some = np.ascontiguousarray(grey[::step, ::step])
    return np.asarray(cv2.calcHist([some], [0], None, [256], [0, 256]), np.float32).ravel()


def shrunk(grey: Grey, step: int) -> Grey:
    """The means of squares of ``step`` pixels; the rest at the right and bottom is dropped.

    OpenCV's area interpolation is fast only for a factor of 2. Measured for an A4 page reduced to a
    third, whose width is not a multiple of 3: 14 ms, against 2.4 ms for a box filter of which every
    third pixel is kept. By way of the half it takes 1 ms, but a photo with faint lines was then no
    longer located.
    """
    if step == 1 or min(grey.shape) < step:
        return grey
    height, width = (side // step * step for side in grey.shape)
    if step == 3:
        return np.ascontiguousarray(cv2.blur(grey, (3, 3))[1:height:3, 1:width:3])
    size = (width // step, height // step)
    whole = grey[:height, :width]
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


def _two_thirds(grey: Grey) -> Grey:
    """Two pixels for every three, weighted 3 to 1 and 1 to 3, which keeps the centres right."""
    if kernels.enabled() and min(grey.shape) >= _LEAST_SIDE:
        from inkmill.forms.kernels.pages import two_thirds

        return two_thirds(np.ascontiguousarray(grey))
    height, width = (side // 3 for side in grey.shape)
    size = (2 * width, 2 * height)
    whole = grey[: 3 * height, : 3 * width]
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _mostly_dark(small: Grey) -> bool:
    """Whether ink is light on dark paper; a white sheet on a dark table has a light middle."""
    height, width = small.shape
    middle = small[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool(np.median(middle) < 110)


def _evened(small: Grey) -> Grey:
    """Divide by the paper's brightness around each pixel, so that paper is 255."""
    height, width = small.shape
    by_kernels = kernels.enabled() and min(small.shape) >= 2 * _PAPER_STEP
    if by_kernels:
        from inkmill.forms.kernels.pages import eighths, evened

        small = np.ascontiguousarray(small)
        tiny = eighths(small)
    else:
        tiny = shrunk(small, _PAPER_STEP)
    # Wider than any mark, so that the window always contains paper.
    paper = cv2.dilate(tiny, np.ones((9, 9), np.uint8))
    paper = cv2.GaussianBlur(paper, (0, 0), 3)
    if by_kernels:
        rows, columns = _between(height, len(paper)), _between(width, paper.shape[1], inner=True)
        return evened(small, np.asarray(paper, np.uint8), *rows, *columns, _DARKEST_PAPER)
    full = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.divide(small, cv2.max(full, _DARKEST_PAPER), scale=255), np.uint8)


@lru_cache(maxsize=64)
def _between(
    count: int, fewer: int, inner: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """How OpenCV enlarges ``fewer`` pixels to ``count``: by which two of them, and their weights.

    Both (2, count), the weights in 2,048ths. Beyond the outermost, where both are the same one,
    OpenCV gives it the whole weight across (``inner``), but not down.
    """
    place = ((np.arange(count) + 0.5) * (1.0 / (count / fewer)) - 0.5).astype(np.float32)
    first = np.floor(place)
    part = place - first
    if inner:
        part[(first < 0) | (first >= fewer - 1)] = 0.0
    weights = np.rint(np.stack([np.float32(1) - part, part]) * np.float32(2048)).astype(np.int32)
    return np.clip(np.stack([first, first + 1]).astype(np.int64), 0, fewer - 1), weights
