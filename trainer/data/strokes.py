"""Pen trajectories: each character as the strokes that a tablet recorded, drawn as an image.

The layout is one .npz archive: ``points`` (n, 2), y upwards; ``stroke_len`` the number of points of
each stroke, ``n_strokes`` the number of strokes of each character, and ``label``. Optional, one for
each character: ``writer``; ``site``, where it was recorded; and ``doubtful``, true for those that
lack a stroke.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.trainer.data.archive import open_archive
from inkmill.trainer.data.samples import Dataset, Problem, Sample
from inkmill.trainer.settings.sources import Source

Grey = NDArray[np.uint8]
Stroke = NDArray[np.float64]

#: Side of the drawn image and of the box that the character fills, in pixels.
_SIDE, _BOX = 84, 60
#: Widest drawing of a string: a line that was recorded as one would fill the memory.
_WIDEST = 2000
#: The pen's width in pixels: a fine ballpoint. Augmentation draws with other pens.
_PEN = 4
#: Fractional bits of coordinates for OpenCV's drawing.
_FRACTION = 4


def strokes(source: Source, path: Path, name: str) -> Dataset:
    """The characters of an archive of pen trajectories that the source uses, drawn dark on white.

    Doubtful ones are listed as problems. Raises UsageError for an archive of another layout.
    """
    arrays = open_archive(path, ("points", "stroke_len", "n_strokes", "label"))
    _check(arrays, path)
    labels = arrays["label"].tolist()
    count = len(labels)
    groups, sites = (
        [str(each) for each in arrays.get(key, np.full(count, "")).tolist()]
        for key in ("writer", "site")
    )
    doubtful = arrays.get("doubtful", np.zeros(count, np.bool_)).tolist()
    result = Dataset()
    for number, character in enumerate(_characters(arrays)):
        where = f"{path.name}[{number}]"
        if not source.class_of(str(labels[number])):
            continue  # not worth drawing
        if doubtful[number]:
            result.problems.append(Problem(where, "marked as doubtful: it may lack a stroke"))
            continue
        text = str(labels[number])
        whole = len(text) > 1
        image = draw(character, by_height=whole)
        sample = Sample(image, text, name, where, groups[number], site=sites[number], whole=whole)
        if source.rewritten:
            sample = replace(sample, strokes=tuple(character))
        result.samples.append(sample)
    return result


def _check(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    points, lengths, counts = (arrays[key] for key in ("points", "stroke_len", "n_strokes"))
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        raise UsageError(f"{path}: points must be numbers (n, 2)")
    if any(each.dtype.kind not in "iu" or each.ndim != 1 for each in (lengths, counts)):
        raise UsageError(f"{path}: stroke_len and n_strokes must be whole numbers (n,)")
    if (lengths < 1).any() or (counts < 1).any():
        raise UsageError(f"{path}: a stroke or a character is empty")
    if int(lengths.sum()) != len(points) or int(counts.sum()) != len(lengths):
        raise UsageError(f"{path}: stroke_len and n_strokes do not add up to the points")
    for key in ("label", "writer", "site", "doubtful"):
        if key in arrays and arrays[key].shape != counts.shape:
            raise UsageError(f"{path}: {key} must have one value for each character")


def _characters(arrays: Mapping[str, NDArray[Any]]) -> Iterator[list[Stroke]]:
    """The strokes of each character, float64 (n, 2)."""
    points = arrays["points"].astype(np.float64)
    pieces = np.split(points, np.cumsum(arrays["stroke_len"])[:-1])
    start = 0
    for count in arrays["n_strokes"].tolist():
        yield pieces[start : start + count]
        start += count


def draw(character: Sequence[Stroke], by_height: bool = False) -> Grey:
    """A character drawn with a fine pen: uint8 (84, 84), dark on white.

    A string, drawn ``by_height``, is as wide as it needs to be.
    """
    points = np.concatenate(character)
    low, high = points.min(axis=0), points.max(axis=0)
    long = high[1] - low[1] if by_height else (high - low).max()
    scale = _BOX / max(float(long), 1.0)
    width = _SIDE
    if by_height:
        width = min(_WIDEST, round(float(high[0] - low[0]) * scale) + _SIDE - _BOX)
    image = np.full((_SIDE, width), 255, np.uint8)
    for stroke in character:
        placed = (stroke - (low + high) / 2) * (scale, -scale) + (width / 2, _SIDE / 2)
        fixed = np.round(placed * 2**_FRACTION).astype(np.int32).reshape(-1, 1, 2)
        if len(fixed) == 1:
            fixed = np.repeat(fixed, 2, axis=0)  # a dot
        cv2.polylines(image, [fixed], False, 0, _PEN, cv2.LINE_AA, _FRACTION)
    return image
