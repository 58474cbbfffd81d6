"""Labelled strips: images of several digits with their text, cut into digits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from inkmill.errors import ItemError
from inkmill.forms.cut.normalise import is_light_on_dark
from inkmill.trainer.config import Source
from inkmill.trainer.data.labelled_files import Grey, group_of, read_image, rows
from inkmill.trainer.data.samples import Dataset, Problem, Sample

#: A component with less than this share of the tallest one's height is dirt or a separator.
_LEAST_HEIGHT = 0.35
#: Components that share this much of the narrower one's columns are one digit (a broken 5).
_SAME_COLUMNS = 0.5


def strips(source: Source, path: Path, name: str) -> Dataset:
    """A table of strips and their text; a strip not cut into as many digits is a problem."""
    folder = path.parent / source.images if source.images else path.parent
    result = Dataset()
    for number, row in enumerate(rows(source, path), 2):
        image, text = row[source.image_column], row[source.label_column].replace(" ", "")
        where = f"{path.name} row {number}: {image}"
        try:
            strip = read_image(folder / image)
        except ItemError as error:
            result.problems.append(Problem(where, f"{error.code}: {error.message}"))
            continue
        except OSError as error:
            result.problems.append(Problem(where, f"cannot be read ({error.strerror})"))
            continue
        parts = segment(strip)
        if not text or len(parts) != len(text):
            reason = f"{len(parts)} parts were found, but the text {text!r} has {len(text)}"
            result.problems.append(Problem(where, reason))
            continue
        group = row[source.group_column] if source.group_column else group_of(source, image)
        result.samples.extend(
            Sample(part, label, name, f"{where} [{at}]", group or Path(image).stem)
            for at, (part, label) in enumerate(zip(parts, text, strict=True))
        )
    return result


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
