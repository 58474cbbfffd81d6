"""Stamps: the ink of a digit alone, at a size from which cells can be drawn.

Augmentation moves ink, not paper: each digit is separated from its paper once, scaled to one size,
and thinned to its skeleton, so that any pen can redraw it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.normalise import find_ink, is_light_on_dark

Grey = NDArray[np.uint8]
Words = NDArray[np.uint64]

#: Side of a stamp, and of the box that its ink fills, in pixels. A form cell at 150 dpi has about
#: this size, so that most scans are drawn by reducing it.
SIDE = 64
BOX = 46


def stamp(grey: Grey) -> Grey | None:
    """The ink of a grey image, uint8 (64, 64), light on dark, its strongest ink 255.

    None if the image has no ink.
    """
    light = grey if is_light_on_dark(grey) else np.asarray(cv2.bitwise_not(grey), np.uint8)
    if min(light.shape) <= 32:
        # Already a crop, without paper and specks; its faint pixels belong to its edges.
        left, top, width, height = cv2.boundingRect(light)
        ink: Grey | None = light[top : top + height, left : left + width] if width else None
    else:
        ink = find_ink(light)
    return None if ink is None else _fit(ink)


def _fit(ink: Grey) -> Grey:
    height, width = ink.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(ink, size, interpolation=how)
    small = cv2.convertScaleAbs(small, alpha=255.0 / max(cv2.minMaxLoc(small)[1], 1.0))
    result = np.zeros((SIDE, SIDE), np.uint8)
    left, top = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    result[top : top + size[1], left : left + size[0]] = small
    return result


def skeletons(stamps: Grey, batch: int = 4096) -> NDArray[np.uint8]:
    """Skeletons of stamps (n, 64, 64): bits packed along the last axis, (n, 64, 8).

    Thinning after Zhang and Suen (1984). A row of 64 pixels is one 64-bit word, so that each step
    is a few operations on words, several times as fast as on pixels.
    """
    parts = [_thin(stamps[start : start + batch]) for start in range(0, len(stamps), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, SIDE, SIDE // 8), np.uint8)


def _thin(stamps: Grey) -> NDArray[np.uint8]:
    packed = np.packbits(stamps > 100, axis=-1)
    ink: Words = packed.view(">u8")[..., 0].astype(np.uint64)
    # An image that a step does not change is finished: most are after a few.
    active = np.arange(len(ink))
    while len(active):
        before = ink[active]
        after = before
        for first in (True, False):
            after = after & ~_removable(after, first)
        ink[active] = after
        active = active[(after != before).any(axis=1)]
    return ink.astype(">u8")[..., None].view(np.uint8)


def _removable(ink: Words, first: bool) -> Words:
    """The pixels that a half-step of thinning removes, as words."""
    above, below = np.zeros_like(ink), np.zeros_like(ink)
    above[:, 1:], below[:, :-1] = ink[:, :-1], ink[:, 1:]
    one = np.uint64(1)
    # Clockwise from the north; the leftmost pixel is the highest bit.
    around = [above, above << one, ink << one, below << one]
    around += [below, below >> one, ink >> one, above >> one]
    set_once, set_twice = _counted(around)
    _, unset_twice = _counted([~pixel for pixel in around])
    starts = [~around[at] & around[(at + 1) % 8] for at in range(8)]
    start_once, start_twice = _counted(starts)
    north, east, south, west = around[0], around[2], around[4], around[6]
    if first:
        keeps = (north & east & south) | (east & south & west)
    else:
        keeps = (north & east & west) | (north & south & west)
    # Two to six neighbours, and exactly one change from paper to ink around the pixel.
    kept: Words = ink & set_once & set_twice & unset_twice & start_once & ~start_twice & ~keeps
    return kept


def _counted(words: list[Words]) -> tuple[Words, Words]:
    """Bits that are set in at least one, and in at least two of the words."""
    once, twice = words[0], np.zeros_like(words[0])
    for word in words[1:]:
        twice = twice | (once & word)
        once = once | word
    return once, twice
