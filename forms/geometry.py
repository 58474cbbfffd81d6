"""Transforms between template units and pixels: fitting and applying them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Points = NDArray[np.float64]


def apply(transform: Matrix, points: Points) -> Points:
    """Map points (n, 2) through a 3x3 transform."""
    mapped = points @ transform[:, :2].T + transform[:, 2]
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)


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
