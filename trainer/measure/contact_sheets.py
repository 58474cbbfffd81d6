"""Contact sheets: many small pictures in one PNG, each with a caption."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]

_TILE, _CAPTION, _GAP = 84, 16, 4
#: Width of a strip in a sheet, in pixels.
_STRIP = 300


def sheet(pictures: Sequence[Grey], captions: Sequence[str], columns: int = 12) -> Grey:
    """Pictures, uint8 of any size, with captions; uint8 (height, width), white ground."""
    rows = max(1, -(-len(pictures) // columns))
    pitch_x, pitch_y = _TILE + _GAP, _TILE + _CAPTION + _GAP
    result = np.full((rows * pitch_y + _GAP, columns * pitch_x + _GAP), 255, np.uint8)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(number, columns)
        top, left = _GAP + row * pitch_y, _GAP + column * pitch_x
        result[top : top + _TILE, left : left + _TILE] = _fit(picture)
        at = (left + 2, top + _TILE + _CAPTION - 4)
        cv2.putText(result, caption, at, cv2.FONT_HERSHEY_SIMPLEX, 0.38, 0, 1, cv2.LINE_AA)
    return result


def rows_sheet(rows: Sequence[tuple[str, Sequence[Grey]]]) -> Grey:
    """One row of pictures for each title, the title above it."""
    columns = max(len(pictures) for _, pictures in rows)
    strips = []
    for title, pictures in rows:
        blank = [np.full((_TILE, _TILE), 255, np.uint8)] * (columns - len(pictures))
        strip = sheet([*pictures, *blank], [""] * columns, columns)
        head = np.full((22, strip.shape[1]), 255, np.uint8)
        cv2.putText(head, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.48, 0, 1, cv2.LINE_AA)
        strips += [head, strip]
    return np.vstack(strips)


def strips_sheet(pictures: Sequence[Grey], captions: Sequence[str], columns: int = 3) -> Grey:
    """Strips of one height, uint8 (height, width), with captions; wide ones are cut off."""
    pitch_y, pitch_x = pictures[0].shape[0] + _CAPTION + _GAP, _STRIP + _GAP
    rows = -(-len(pictures) // columns)
    result = np.full((rows * pitch_y + _GAP, columns * pitch_x + _GAP), 255, np.uint8)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(number, columns)
        top, left = _GAP + row * pitch_y, _GAP + column * pitch_x
        shown = picture[:, :_STRIP]
        result[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
        at = (left + 2, top + shown.shape[0] + _CAPTION - 4)
        cv2.putText(result, caption, at, cv2.FONT_HERSHEY_SIMPLEX, 0.38, 0, 1, cv2.LINE_AA)
    return result


def _fit(picture: Grey) -> Grey:
    height, width = picture.shape
    scale = _TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(picture, size, interpolation=how)
    result = np.full((_TILE, _TILE), 200, np.uint8)
    top, left = (_TILE - size[1]) // 2, (_TILE - size[0]) // 2
    result[top : top + size[1], left : left + size[0]] = small
    return result


def as_text(crop: Grey) -> str:
    """A crop as characters for a terminal, two rows of pixels in each line."""
    shades = " .:-=+*#%@"
    rows = range(0, crop.shape[0] - 1, 2)
    lines = (
        "".join(shades[int(value) * (len(shades) - 1) // 255] for value in _pair(crop, row))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _pair(crop: Grey, row: int) -> NDArray[np.uint8]:
    return np.asarray(crop[row : row + 2].max(axis=0), np.uint8)
