"""Transforms between template units and pixels: fitting and applying them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms import kernels

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]


def apply(transform: Matrix, points: Points) -> Points:
    """Map points (n, 2) through a 3x3 transform."""
    mapped = np.empty((len(points), 2))
    if kernels.enabled():
        from inkmill.forms.kernels.places import map_points

        map_points(*contiguous(transform, points), mapped)
        return mapped
    # Not a product of matrices: in which order those add up is left to the processor.
    x, y = points[:, 0], points[:, 1]
    across, down, depth = (row[0] * x + row[1] * y + row[2] for row in transform)
    mapped[:, 0], mapped[:, 1] = across / depth, down / depth
    return mapped


def contiguous(transform: Matrix, points: Points) -> tuple[Matrix, Points]:
    """The same as kernels want them."""
    return (
        np.ascontiguousarray(transform, np.float64),
        np.ascontiguousarray(points, np.float64),
    )


def inverse(transform: Matrix) -> Matrix:
    """The inverse of a transform."""
    return np.asarray(np.linalg.inv(transform), np.float64)


def fit_affine(source: Points, target: Points) -> Matrix:
    """The affine transform that best maps ``source`` (n >= 3, 2) onto ``target``."""
    left = np.column_stack([source, np.ones(len(source))])
    solution, *_ = np.linalg.lstsq(left, target, rcond=None)
    return np.vstack([solution.T, [0.0, 0.0, 1.0]])


def fit_perspective(source: Points, target: Points) -> Matrix:
    """The perspective transform for four or more points; least squares for more than four."""
    if len(source) == 4:
        found = cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32))
    else:
        found, _ = cv2.findHomography(source, target, 0)
    if found is None or not np.isfinite(found).all():
        return fit_affine(source, target)
    return np.asarray(found, np.float64)


def corners(box: tuple[float, float, float, float]) -> Points:
    """The corners of (left, top, width, height), clockwise from the top left: (4, 2)."""
    x, y, w, h = box
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
