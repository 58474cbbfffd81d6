"""The page found by features of its blank: for forms without marks, or when marks are gone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.form_registration import Blank
from inkmill.forms.geometry import Matrix, corners, fit_perspective
from inkmill.forms.locators import Proposal
from inkmill.forms.overview import Overview

Grey = NDArray[np.uint8]

_FEATURES = 1500
#: A match counts when it is so much better than the second best (Lowe 2004, section 7.1).
_RATIO = 0.8
#: Overview pixels within which a match agrees with a transform.
_NEAR = 4.0
#: Matches that must agree.
_LEAST_AGREEING = 25


@lru_cache(maxsize=8)
def _blank_features(png: bytes) -> tuple[NDArray[np.float32], Grey, tuple[int, int]]:
    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    overview = Overview.of(np.asarray(grey, np.uint8))
    places, descriptors = _features(overview)
    scale = np.array([overview.scale_x, overview.scale_y], np.float32)
    return (places + 0.5) * scale - 0.5, descriptors, (grey.shape[0], grey.shape[1])


def _features(overview: Overview) -> tuple[NDArray[np.float32], Grey]:
    orb = cv2.ORB_create(nfeatures=_FEATURES, scaleFactor=1.2, nlevels=8, fastThreshold=12)
    # Blurred a little: bilevel scans have corners everywhere along a stroke.
    smooth = cv2.GaussianBlur(overview.grey, (0, 0), 1.2)
    keypoints, descriptors = orb.detectAndCompute(smooth, None)
    if descriptors is None:
        return np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8)
    places = np.array([point.pt for point in keypoints], np.float32)
    return places, np.asarray(descriptors, np.uint8)


def by_blank(overview: Overview, blank: Blank) -> Iterator[Proposal]:
    """A proposal from ORB features that the page shares with the blank, by RANSAC."""
    blank_places, blank_descriptors, shape = _blank_features(blank.data())
    places, descriptors = _features(overview)
    if len(places) < _LEAST_AGREEING or len(blank_places) < _LEAST_AGREEING:
        return
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(blank_descriptors, descriptors, k=2)
    good = [
        pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < _RATIO * pair[1].distance
    ]
    if len(good) < _LEAST_AGREEING:
        return
    source = blank_places[[match.queryIdx for match in good]]
    target = places[[match.trainIdx for match in good]]
    found, agreeing = cv2.findHomography(source, target, cv2.RANSAC, _NEAR, maxIters=4000)
    if found is None or int(agreeing.sum()) < _LEAST_AGREEING:
        return
    transform = np.asarray(found, np.float64) @ _template_to_blank(blank, shape)
    yield Proposal(transform, np.empty((0, 2)), 0, "blank", rounds=3)


def _template_to_blank(blank: Blank, shape: tuple[int, int]) -> Matrix:
    height, width = shape
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    return fit_perspective(corners(blank.box), pixels)
