"""Filters that a model was trained with: listed in its config and manifest, applied by workers.

A filter is a small mapping with the key ``name`` and its parameters, as in TOML and JSON:
``{"name": "median", "size": 3}``. Filters get the grey cell with light ink on a dark background,
whatever the scan's polarity, so that ``erode`` always thins the strokes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError

Grey = NDArray[np.uint8]
Filter = Mapping[str, Any]


#: Ink is lighter than the paper by more than so many standard deviations of the paper's noise ...
_PAPER_NOISE = 4.0
#: ... and by more than so many grey levels, where it is told from the paper for good.
_LEAST_CONTRAST = 14


@dataclass(frozen=True, slots=True)
class _Range:
    """The allowed values of a parameter: a number between two bounds, or one of a few words."""

    default: Any
    low: float = 0.0
    high: float = 0.0
    odd: bool = False
    words: tuple[str, ...] = ()

    def check(self, where: str, value: Any) -> Any:
        if self.words:
            if value not in self.words:
                raise UsageError(f"{where} is {value!r}: use one of {', '.join(self.words)}")
            return value
        whole = isinstance(self.default, int)
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            kind = "a whole number" if whole else "a number"
            raise UsageError(f"{where} is {value!r}: use {kind}")
        if not self.low <= value <= self.high or (self.odd and value % 2 == 0):
            odd = ", odd" if self.odd else ""
            raise UsageError(f"{where} is {value!r}: use {self.low:g} to {self.high:g}{odd}")
        return value


def _median(ink: Grey, size: int) -> Grey:
    return _grey(cv2.medianBlur(ink, size))


def _gaussian(ink: Grey, sigma: float) -> Grey:
    return _grey(cv2.GaussianBlur(ink, (0, 0), sigma))


def _equalise(ink: Grey) -> Grey:
    """Equalise the histogram of what stands out from the paper, and leave the paper as it is.

    Most of a cell is paper: over all pixels, equalising would spread its noise over nearly all
    levels and press the ink into the few that are left.
    """
    paper, noise = _paper(ink)
    floor = int(min(paper + _PAPER_NOISE * noise, 255))
    counts = np.bincount(ink.ravel(), minlength=256)
    counts[: floor + 1] = 0
    if not counts.any():
        return ink
    levels = np.arange(256.0)
    levels[floor:] = floor + (255 - floor) * np.cumsum(counts)[floor:] / counts.sum()
    return _grey(cv2.LUT(ink, np.round(levels).astype(np.uint8)))


def _paper(ink: Grey) -> tuple[float, float]:
    """The paper's grey level and the standard deviation of its noise: most of a cell is paper."""
    below, paper = np.percentile(ink, (16, 50))
    return float(paper), float(paper - below)


def _clahe(ink: Grey, limit: float, tiles: int) -> Grey:
    return _grey(cv2.createCLAHE(clipLimit=limit, tileGridSize=(tiles, tiles)).apply(ink))


def _binarise(ink: Grey, method: str, threshold: int, block: int, offset: float) -> Grey:
    """Make ink white and paper black.

    Otsu's and the adaptive threshold divide any image in two, and the noise of an empty cell as
    well. So what does not stand out from the paper's noise stays paper.
    """
    if method == "adaptive":
        # OpenCV subtracts the offset from the local mean; for light ink it must be negative.
        above = max(offset, _PAPER_NOISE * _noise_around(ink, block))
        return _grey(
            cv2.adaptiveThreshold(
                ink, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, block, -above
            )
        )
    if method == "otsu":
        found = cv2.threshold(ink, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]
        paper, noise = _paper(ink)
        least = paper + max(_LEAST_CONTRAST, _PAPER_NOISE * noise)
        return _grey(cv2.threshold(ink, max(found, least), 255, cv2.THRESH_BINARY)[1])
    return _grey(cv2.threshold(ink, threshold, 255, cv2.THRESH_BINARY)[1])


def _noise_around(ink: Grey, block: int) -> float:
    """The standard deviation of the noise around the local mean, from the median deviation.

    A shadow across the cell is no noise, and ink is too little of it to count.
    """
    rest = ink.astype(np.float32) - cv2.GaussianBlur(ink, (block, block), 0)
    return float(1.4826 * np.median(np.abs(rest - np.median(rest))))


def _erode(ink: Grey, size: int) -> Grey:
    return _grey(cv2.erode(ink, _disc(size)))


def _dilate(ink: Grey, size: int) -> Grey:
    return _grey(cv2.dilate(ink, _disc(size)))


def _disc(size: int) -> Grey:
    return _grey(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))


def _grey(image: Any) -> Grey:
    # OpenCV's stubs know only "an array of numbers".
    return np.asarray(image, dtype=np.uint8)


_SIZE = _Range(3, 1, 15, odd=True)
_MORPH = _Range(2, 1, 15)
_TABLE: dict[str, tuple[Callable[..., Grey], dict[str, _Range]]] = {
    "median": (_median, {"size": _SIZE}),
    "gaussian": (_gaussian, {"sigma": _Range(1.0, 0.1, 10.0)}),
    "equalise": (_equalise, {}),
    "clahe": (_clahe, {"limit": _Range(2.0, 0.1, 40.0), "tiles": _Range(4, 1, 16)}),
    "binarise": (
        _binarise,
        {
            "method": _Range("otsu", words=("fixed", "otsu", "adaptive")),
            "threshold": _Range(128, 0, 255),
            "block": _Range(31, 3, 255, odd=True),
            "offset": _Range(10.0, -100.0, 100.0),
        },
    ),
    "erode": (_erode, {"size": _MORPH}),
    "dilate": (_dilate, {"size": _MORPH}),
}

FILTERS = tuple(_TABLE)


def check_filters(filters: Sequence[Filter]) -> tuple[dict[str, Any], ...]:
    """Validate filters and fill in their defaults.

    Raises UsageError that names the filter, its place in the list and the parameter.
    """
    return tuple(_check(number, each) for number, each in enumerate(filters, 1))


def _check(number: int, given: Filter) -> dict[str, Any]:
    if not isinstance(given, Mapping) or "name" not in given:
        raise UsageError(
            f"filter {number} is {given!r}: use a table with a name, like name='median'"
        )
    name = given["name"]
    if name not in _TABLE:
        raise UsageError(f"filter {number} is {name!r}: use one of {', '.join(FILTERS)}")
    parameters = _TABLE[name][1]
    for key in given:
        if key != "name" and key not in parameters:
            known = ", ".join(parameters) or "none"
            raise UsageError(f"filter {number} ({name}) has no {key!r}: its parameters are {known}")
    checked = {
        key: allowed.check(f"filter {number} ({name}): {key}", given.get(key, allowed.default))
        for key, allowed in parameters.items()
    }
    return {"name": name, **checked}


def apply_filters(ink: Grey, filters: Sequence[Filter]) -> Grey:
    """Apply filters in order to a grey cell, uint8 (height, width), light ink on dark.

    ``filters`` are as ``check_filters`` returns them.
    """
    for each in filters:
        parameters = {key: value for key, value in each.items() if key != "name"}
        ink = _TABLE[each["name"]][0](ink, **parameters)
    return ink
