"""Labelled strips: images of several digits with their text, cut into digits or left whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from inkmill.errors import ItemError
from inkmill.forms.cut.normalise import is_light_on_dark
from inkmill.models.strips import CROSS, DASH, SEPARATOR
from inkmill.trainer.data.labelled_files import Grey, read_image, row_group, rows
from inkmill.trainer.data.samples import Dataset, Problem, Sample
from inkmill.trainer.settings.sources import Source

#: A component with less than this share of the tallest one's height is dirt or a separator.
_LEAST_HEIGHT = 0.35
#: Components that share this much of the narrower one's columns are one digit (a broken 5).
_SAME_COLUMNS = 0.5


#: How symbols of a text are written in the labels of strips.
_READ_AS = str.maketrans({",": SEPARATOR, "'": SEPARATOR, "=": DASH, "x": CROSS, " ": None})


def whole_strips(source: Source, path: Path, name: str) -> Dataset:
    """A table of strips and their text, each a sample; those without text are problems."""
    result = Dataset()
    for strip in _labelled(source, path, name, result):
        text = strip.label.translate(_READ_AS)
        if text:
            result.samples.append(replace(strip, label=text, whole=True))
        else:
            result.problems.append(Problem(strip.where, "has no text"))
    return result


def strips(source: Source, path: Path, name: str) -> Dataset:
    """A table of strips and their text; a strip not cut into as many digits is a problem."""
    result = Dataset()
    for strip in _labelled(source, path, name, result):
        text, parts = strip.label.replace(" ", ""), segment(strip.image)
        if not text or len(parts) != len(text):
            reason = f"{len(parts)} parts were found, but the text {text!r} has {len(text)}"
            result.problems.append(Problem(strip.where, reason))
            continue
        result.samples.extend(
            Sample(part, label, name, f"{strip.where} [{at}]", strip.group)
            for at, (part, label) in enumerate(zip(parts, text, strict=True))
        )
    return result


def _labelled(source: Source, path: Path, name: str, result: Dataset) -> Iterator[Sample]:
    """The strips of a table with their texts; those that cannot be read become problems."""
    folder = path.parent / source.images if source.images else path.parent
    for number, row in enumerate(rows(source, path), 2):
        image, text = row[source.image_column], row[source.label_column]
        where = f"{path.name} row {number}: {image}"
        try:
            strip = read_image(folder / image)
        except ItemError as error:
            result.problems.append(Problem(where, f"{error.code}: {error.message}"))
        except OSError as error:
            result.problems.append(Problem(where, f"cannot be read ({error.strerror})"))
        else:
            group = row_group(source, row, where)
            yield Sample(strip, text, name, where, group or Path(image).stem)


def segment(strip: Grey) -> list[Grey]:
    """Cut a strip, uint8 (height, width), into its digits, left to right.

    Parts are connected components, joined if they are above each other. Touching digits stay one
    part, so the caller sees that the number is wrong.
    """
    light = strip if is_light_on_dark(strip) else cv2.bitwise_not(strip)
    level, _ = cv2.threshold(light, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    mask = np.asarray(cv2.threshold(light, level, 255, cv2.THRESH_BINARY)[1], np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    boxes = [[left, top, left + w, top + h] for left, top, w, h, _ in stats[1:].tolist()]
    tallest = max((bottom - top for _, top, _, bottom in boxes), default=0)
    merged = _join(sorted(boxes))
    tall = [box for box in merged if box[3] - box[1] >= _LEAST_HEIGHT * tallest]
    return [_surrounded(strip, box) for box in tall]


def _join(boxes: list[list[int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for box in boxes:
        if merged:
            last = merged[-1]
            shared = min(last[2], box[2]) - max(last[0], box[0])
            if shared >= _SAME_COLUMNS * min(last[2] - last[0], box[2] - box[0]):
                last[:] = [
                    min(last[0], box[0]),
                    min(last[1], box[1]),
                    max(last[2], box[2]),
                    max(last[3], box[3]),
                ]
                continue
        merged.append(list(box))
    return merged


def _surrounded(strip: Grey, box: list[int]) -> Grey:
    """A part with a margin of paper, which normalisation needs."""
    left, top, right, bottom = box
    part = strip[top:bottom, left:right]
    paper = int(np.median(strip))
    margin = max(2, (bottom - top) // 5)
    return np.asarray(
        cv2.copyMakeBorder(
            part, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(paper,)
        ),
        np.uint8,
    )
