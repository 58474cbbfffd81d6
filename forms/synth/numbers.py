"""Numbers written freely into a box: digits of one height, as people space and join them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, apply, corners
from inkmill.forms.synth.handwriting import HandwrittenDigits
from inkmill.template.fields import FormField

Grey = NDArray[np.uint8]

#: A number's digits are this high, as a part of the box's height, and each differs from it a
#: little.
_HEIGHT, _UNEVEN = (0.45, 0.75), 0.08
#: Space between digits, as a part of their height: they touch now and then.
_SPACE = (-0.06, 0.16)
#: How far a number leans, as a part of its height, and its line rises or falls over the number.
_LEAN, _RISE = 0.22, 0.04
#: Shares of numbers with points between thousands, and with a closing dash.
_WITH_THOUSANDS, _WITH_DASH = 0.3, 0.2
#: The part of the box's width that a number may fill.
_WIDEST = 0.94


def written_number(field: FormField, value: str, rng: np.random.Generator) -> str:
    """How a person writes a value: with points and a dash where the field skips them; "_" for "".

    Decimals stand behind a point.
    """
    if not value:
        return "_"
    whole, point, part = value.partition(".")
    whole = whole.zfill(field.least_digits)
    if "thousands" in field.skipped and rng.random() < _WITH_THOUSANDS:
        whole = f"{int(whole):,}".replace(",", ".") if not whole.startswith("0") else whole
    dash = "dashes" in field.skipped and rng.random() < _WITH_DASH
    return f"{whole}{point}{part}{'-' if dash else ''}"


@dataclass
class _Pen:
    """Where a number is being written: the right end of what stands there, in pixels."""

    picture: NDArray[np.float32]
    at: float


def write_number(
    page: Grey,
    place: Matrix,
    field: FormField,
    text: str,
    digits: HandwrittenDigits,
    ink: int,
    rng: np.random.Generator,
) -> None:
    """Write a number's text into its box, in place; pixels only get darker.

    ``place`` maps template units to the page's pixels, ``ink`` is the grey level to draw with.
    """
    if text == "_":
        return
    assert field.box is not None
    points = apply(place, corners(field.box))
    width, height = (float(side) for side in points[2] - points[0])
    number = _number(text, rng.uniform(*_HEIGHT) * height, digits, rng)
    if number.shape[1] > _WIDEST * width:
        size = (max(1, round(_WIDEST * width)), number.shape[0])
        number = np.asarray(cv2.resize(number, size, interpolation=cv2.INTER_AREA), np.float32)
    spare = np.array([width - number.shape[1], height - number.shape[0]])
    left, top = np.rint(points[0] + spare * rng.uniform(0.2, 0.8, 2)).astype(int).tolist()
    left, top = max(0, left), max(0, top)
    part = page[top : top + number.shape[0], left : left + number.shape[1]]
    cover = number[: part.shape[0], : part.shape[1]]
    part[:] = np.minimum(part, 255.0 - cover * (255.0 - ink)).astype(np.uint8)


def _number(
    text: str, height: float, digits: HandwrittenDigits, rng: np.random.Generator
) -> NDArray[np.float32]:
    """A number's ink, 0 to 1, cut to its columns; a row of paper above and below."""
    rows = round(1.5 * height)
    pen = _Pen(np.zeros((rows, round(height * (len(text) + 2))), np.float32), 0.3 * height)
    baseline = 1.2 * height
    for symbol in text:
        if symbol.isdigit():
            image, _ = digits.draw(int(symbol), rng)
            tall = height * (1 + rng.uniform(-_UNEVEN, _UNEVEN))
            _put(pen, image, tall, baseline)
        elif symbol == "-":
            _stroke(pen, (0.1, 0.5), (0.55, 0.5 + rng.uniform(-0.05, 0.05)), height, baseline)
        else:
            _stroke(pen, (0.02, 0.02), (0.05, -0.05), height, baseline)
        pen.at += height * rng.uniform(*_SPACE)
    lean, rise = rng.uniform(-0.3 * _LEAN, _LEAN), rng.uniform(-_RISE, _RISE)
    middle = (rows / 2, pen.picture.shape[1] / 2)
    turn = np.array([[1, -lean, lean * middle[0]], [rise, 1, -rise * middle[1]]], np.float64)
    drawn = cv2.warpAffine(pen.picture, turn, pen.picture.shape[::-1])
    columns = np.flatnonzero(drawn.max(axis=0) > 0.1)
    return np.asarray(drawn[:, columns[0] : columns[-1] + 1], np.float32)


def _put(pen: _Pen, image: Grey, height: float, baseline: float) -> None:
    """A digit's picture at the pen, standing on the line."""
    size = (max(2, round(image.shape[1] * height / image.shape[0])), max(2, round(height)))
    drawn = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.float32) / 255
    top, left = round(baseline - size[1]), round(pen.at)
    part = pen.picture[top : top + size[1], left : left + size[0]]
    np.maximum(part, drawn[: part.shape[0], : part.shape[1]], out=part)
    pen.at += size[0]


def _stroke(
    pen: _Pen, start: tuple[float, float], end: tuple[float, float], height: float, baseline: float
) -> None:
    """A stroke between two places right of the pen and above the line, in parts of the height."""
    points = [(round(pen.at + x * height), round(baseline - y * height)) for x, y in (start, end)]
    cv2.line(pen.picture, points[0], points[1], 1.0, max(1, round(0.09 * height)), cv2.LINE_AA)
    pen.at += max(start[0], end[0]) * height + 0.05 * height
