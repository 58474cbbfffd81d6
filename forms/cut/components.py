"""Connected components of many small masks at once, with their rectangles and areas.

OpenCV's own statistics visit every pixel, paper included, and a call costs more than labelling a
cell. So all cells are labelled in one picture, and the statistics are computed from the runs of
ink. Measured for 60 cells of 77 x 101: 120 calls took 6.5 ms, this takes 1.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Components:
    """The components of n masks, 8-connected; the first is the paper and belongs to no mask.

    ``ink`` uint8 (n, height, width) are the masks, 0 or 1; ``labels`` int32 (n, height, width) is
    each pixel's component. For each component, ``cell`` is its mask's number, ``left``, ``top``,
    ``width``, ``height`` its rectangle there, ``area`` its number of pixels and ``inside`` how many
    of them lie in the inner rectangle.
    """

    ink: Mask
    labels: NDArray[np.int32]
    cell: Numbers
    left: Numbers
    top: Numbers
    width: Numbers
    height: Numbers
    area: Numbers
    inside: Numbers

    def __len__(self) -> int:
        return len(self.cell)

    def most(self, values: Numbers, among: NDArray[np.bool_]) -> Numbers:
        """For each mask the largest of ``values`` of its components ``among``; 0 if none."""
        largest = np.zeros(len(self.labels), np.int64)
        np.maximum.at(largest, self.cell[among], values[among])
        return largest

    def boxes(self, kept: NDArray[np.bool_]) -> Numbers:
        """For each mask the bounding box (left, top, right, bottom) of its kept components.

        (n, 4); zeros if it has none.
        """
        count, height, width = self.labels.shape
        cell, boxes = self.cell[kept], np.zeros((count, 4), np.int64)
        boxes[:, :2] = width, height
        np.minimum.at(boxes[:, 0], cell, self.left[kept])
        np.minimum.at(boxes[:, 1], cell, self.top[kept])
        np.maximum.at(boxes[:, 2], cell, (self.left + self.width)[kept])
        np.maximum.at(boxes[:, 3], cell, (self.top + self.height)[kept])
        boxes[boxes[:, 2] == 0] = 0
        return boxes

    def drawn(self, kept: NDArray[np.bool_]) -> Mask:
        """The kept components as masks, 0 or 255: uint8 (n, height, width)."""
        drawn = np.multiply(self.ink, np.uint8(255))
        dropped = np.unique(self.cell[1:][~kept[1:]])
        if len(dropped):
            drawn[dropped] = np.where(kept, 255, 0).astype(np.uint8)[self.labels[dropped]]
        return drawn


def find_components(masks: Mask, inner: tuple[int, int, int, int]) -> Components:
    """The components of masks, uint8 (n, height, width), 0 or 1.

    ``inner`` is the rectangle (left, top, right, bottom) for ``Components.inside``.
    """
    count, height, width = masks.shape
    # One sheet with a row of paper above each mask and a column after it: no component, and no
    # run in the order of memory, reaches from one mask into the next.
    sheet = np.zeros((count * (height + 1) + 1, width + 1), np.uint8)
    sheet[:-1].reshape(count, height + 1, width + 1)[:, 1:, :width] = masks
    number, labels = cv2.connectedComponents(sheet, connectivity=8, ltype=cv2.CV_32S)
    flat = sheet.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    row, left = np.divmod(starts, width + 1)
    length = ends - starts
    right = left + length
    cell, row = np.divmod(row, height + 1)
    row -= 1
    part = labels.ravel()[starts]
    overlap = np.minimum(right, inner[2]) - np.maximum(left, inner[0])
    overlap[(row < inner[1]) | (row >= inner[3])] = 0
    first, last = np.full(number, width), np.zeros(number, np.int64)
    np.minimum.at(first, part, left)
    np.maximum.at(last, part, right)
    owner, top, bottom = (np.zeros(number, np.int64) for _ in range(3))
    # Runs are ordered by row: a component's last run is its lowest, its first its highest.
    owner[part], bottom[part], top[part[::-1]] = cell, row, row[::-1]
    return Components(
        masks,
        labels[:-1].reshape(count, height + 1, width + 1)[:, 1:, :width],
        owner,
        first,
        top,
        last - first,
        bottom - top + 1,
        _summed(part, length, number),
        _summed(part, np.maximum(overlap, 0), number),
    )


def _summed(part: NDArray[np.int32], values: Numbers, number: int) -> Numbers:
    return np.bincount(part, values, number).astype(np.int64)


def thickened(masks: Mask, reach: int) -> Mask:
    """Masks, uint8 (n, height, width), dilated by a square of odd side ``reach``."""
    count, height, width = masks.shape
    apart = reach // 2
    sheet = np.zeros((count, height + apart, width), np.uint8)
    sheet[:, :height] = masks
    thick = cv2.dilate(sheet.reshape(-1, width), np.ones((reach, reach), np.uint8))
    return np.asarray(thick, np.uint8).reshape(sheet.shape)[:, :height]


def extents(seen: NDArray[np.bool_]) -> Numbers:
    """For each row the first true place and the one after the last: (n, 2); zeros if none."""
    first, last = seen.argmax(axis=1), seen.shape[1] - seen[:, ::-1].argmax(axis=1)
    some = np.asarray(seen.any(axis=1))
    return np.column_stack([first, last]) * some[:, None]
