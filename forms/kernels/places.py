"""Kernels for places on a page: mapped to pixels, and looked up there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.kernels.compiling import kernel, part_of_kernels

#: Far outside of any picture, yet within what its pixels are counted in.
_LEAST, _MOST = -9.0, 30_000.0


@part_of_kernels
def _mapped(transform: NDArray[np.float64], x: float, y: float) -> tuple[float, float]:
    depth = transform[2, 0] * x + transform[2, 1] * y + transform[2, 2]
    across = transform[0, 0] * x + transform[0, 1] * y + transform[0, 2]
    down = transform[1, 0] * x + transform[1, 1] * y + transform[1, 2]
    return across / depth, down / depth


@kernel("void(float64[:,::1], float64[:,::1], float64[:,::1])")
def map_points(
    transform: NDArray[np.float64], points: NDArray[np.float64], mapped: NDArray[np.float64]
) -> None:
    """Fill ``mapped`` (n, 2) with ``points`` (n, 2) through a 3x3 transform."""
    for number in range(len(points)):
        across, down = _mapped(transform, points[number, 0], points[number, 1])
        mapped[number, 0] = across
        mapped[number, 1] = down


@part_of_kernels
def _nearest(
    transform: NDArray[np.float64],
    points: NDArray[np.float64],
    columns: NDArray[np.float32],
    rows: NDArray[np.float32],
) -> None:
    """Fill ``columns`` and ``rows`` (n,) with the pixels nearest to mapped ``points`` (n, 2)."""
    for number in range(len(points)):
        across, down = _mapped(transform, points[number, 0], points[number, 1])
        # What is no number fails both comparisons.
        columns[number] = np.rint(np.float32(across if _LEAST < across < _MOST else _LEAST))
        rows[number] = np.rint(np.float32(down if _LEAST < down < _MOST else _LEAST))


@kernel("void(float64[:,::1], float64[:,::1], uint8[:,::1], uint8[:,::1])")
def look_up(
    transform: NDArray[np.float64],
    points: NDArray[np.float64],
    picture: NDArray[np.uint8],
    values: NDArray[np.uint8],
) -> None:
    """Fill ``values`` (n, 1) with the pixels nearest to mapped ``points`` (n, 2); 0 outside."""
    height, width = picture.shape
    columns, rows = np.empty(len(points), np.float32), np.empty(len(points), np.float32)
    _nearest(transform, points, columns, rows)
    for number in range(len(points)):
        column, row = int(columns[number]), int(rows[number])
        inside = 0 <= column < width and 0 <= row < height
        values[number, 0] = picture[row, column] if inside else np.uint8(0)


@kernel("void(float64[:,::1], float64[:,::1], uint8[:,::1], int64, uint8[:,::1])")
def look_around(
    transform: NDArray[np.float64],
    points: NDArray[np.float64],
    picture: NDArray[np.uint8],
    reach: int,
    hits: NDArray[np.uint8],
) -> None:
    """Fill ``hits`` (n, 1) with 1 where a pixel within ``reach`` is not 0, else 0.

    Within ``reach`` across and down of the pixels nearest to mapped ``points`` (n, 2); 0 for those
    outside of the picture.
    """
    height, width = picture.shape
    columns, rows = np.empty(len(points), np.float32), np.empty(len(points), np.float32)
    _nearest(transform, points, columns, rows)
    for number in range(len(points)):
        column, row, most = int(columns[number]), int(rows[number]), 0
        if 0 <= column < width and 0 <= row < height:
            for y in range(max(row - reach, 0), min(row + reach + 1, height)):
                for x in range(max(column - reach, 0), min(column + reach + 1, width)):
                    most = max(most, picture[y, x])
        hits[number, 0] = np.uint8(most > 0)


@kernel("void(float64[:,::1], float64[:,::1], int64, float32[:,::1], float32[:,::1], float64[::1])")
def directions(
    transform: NDArray[np.float64],
    points: NDArray[np.float64],
    axis: int,
    here: NDArray[np.float32],
    unit: NDArray[np.float32],
    pixels: NDArray[np.float64],
) -> None:
    """Where ``points`` (n, 2) are, and which way a template axis goes there.

    Fills ``here`` (n, 2) with their pixels, ``unit`` (n, 2) with the axis's direction, one pixel
    long, and ``pixels`` (n,) with the pixels of a unit along it.
    """
    right, below = 1e-3 if axis == 0 else 0.0, 1e-3 if axis == 1 else 0.0
    for number in range(len(points)):
        x, y = points[number, 0], points[number, 1]
        across, down = _mapped(transform, x, y)
        ahead_across, ahead_down = _mapped(transform, x + right, y + below)
        step_across, step_down = (ahead_across - across) / 1e-3, (ahead_down - down) / 1e-3
        length = max(np.sqrt(step_across * step_across + step_down * step_down), 1e-9)
        here[number, 0], here[number, 1] = across, down
        unit[number, 0], unit[number, 1] = step_across / length, step_down / length
        pixels[number] = length
