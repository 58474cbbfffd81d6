"""Locate a page by image features of its blank: for forms without marks, or with lost marks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.geometry import Matrix, corners, fit_affine, fit_perspective
from inkmill.forms.locate.vision.locators import Proposal
from inkmill.forms.locate.vision.marks import corner_squares
from inkmill.forms.locate.vision.overview import Overview
from inkmill.template.registration import Blank

Grey = NDArray[np.uint8]

#: ORB features are fast; SIFT takes a third of a second, and finds small and blurred print, too.
Kind = Literal["ORB", "SIFT"]

_FEATURES = 3000
#: Ratio test: a match must be this much better than the second best (Lowe 2004, section 7.1).
_RATIO: dict[Kind, float] = {"ORB": 0.85, "SIFT": 0.8}
#: A match agrees with a transform within this many overview pixels.
_NEAR = 4.0
#: Least number of matches that must agree.
_LEAST_AGREEING = 20
#: Least correlation of two scans of one form filled by different hands.
_LEAST_LIKENESS = 0.35


@dataclass(frozen=True)
class Features:
    """Features of a picture: ``places`` float32 (n, 2), and their descriptors, (n, k)."""

    places: NDArray[np.float32]
    descriptors: NDArray[np.generic]
    kind: Kind


@lru_cache(maxsize=16)
def _blank_features(png: bytes, kind: Kind) -> tuple[Features, tuple[int, int]]:
    grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    overview = Overview.of(np.asarray(grey, np.uint8))
    found = _features(overview, kind)
    scale = np.array([overview.scale_x, overview.scale_y], np.float32)
    places = (found.places + 0.5) * scale - 0.5
    return replace(found, places=places), (grey.shape[0], grey.shape[1])


def _features(overview: Overview, kind: Kind = "ORB") -> Features:
    detector = (
        cv2.SIFT_create(nfeatures=_FEATURES)
        if kind == "SIFT"
        else cv2.ORB_create(nfeatures=_FEATURES, scaleFactor=1.2, nlevels=8, fastThreshold=12)
    )
    # Blur slightly: bilevel scans have corners everywhere along a stroke.
    smooth = cv2.GaussianBlur(overview.grey, (0, 0), 1.2)
    keypoints, descriptors = detector.detectAndCompute(smooth, None)
    if descriptors is None:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8), kind)
    places = np.array([point.pt for point in keypoints], np.float32)
    return Features(places, np.asarray(descriptors), kind)


def by_blank(overview: Overview, blank: Blank, thorough: bool = True) -> Iterator[Proposal]:
    """Proposals from features that the page shares with the blank, by RANSAC.

    ``thorough`` also tries the slower kind of features, if the faster ones are of no use.
    """
    kinds: tuple[Kind, ...] = ("ORB", "SIFT") if thorough else ("ORB",)
    for kind in kinds:
        there, shape = _blank_features(blank.data(), kind)
        here = _features(overview, kind)
        # A photo has perspective; a scan has none, and needs fewer features.
        for flat in (False, True):
            found = _agreed(there, here, flat)
            if found is not None:
                transform = found @ _template_to_blank(blank, shape)
                yield Proposal(transform, np.empty((0, 2)), 0, "blank", rounds=3)


def _agreed(there: Features, here: Features, flat: bool) -> Matrix | None:
    """The transform that enough matched features agree on; None if too few do.

    It maps from ``there`` to ``here``. It is affine with ``flat``, else it may have perspective.
    """
    if min(len(there.places), len(here.places)) < _LEAST_AGREEING:
        return None
    norm = cv2.NORM_HAMMING if here.kind == "ORB" else cv2.NORM_L2
    pairs = cv2.BFMatcher(norm).knnMatch(there.descriptors, here.descriptors, k=2)
    ratio = _RATIO[here.kind]
    good = [
        pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < ratio * pair[1].distance
    ]
    if len(good) < _LEAST_AGREEING:
        return None
    source = there.places[[match.queryIdx for match in good]]
    target = here.places[[match.trainIdx for match in good]]
    if flat:
        found, agreeing = cv2.estimateAffine2D(
            source, target, method=cv2.RANSAC, ransacReprojThreshold=_NEAR, maxIters=4000
        )
        found = None if found is None else np.vstack([found, [0.0, 0.0, 1.0]])
    else:
        found, agreeing = cv2.findHomography(source, target, cv2.RANSAC, _NEAR, maxIters=4000)
    if found is None or int(agreeing.sum()) < _LEAST_AGREEING:
        return None
    return np.asarray(found, np.float64)


def alignment(scan: Grey, reference: Grey) -> Matrix | None:
    """3x3: pixels of ``scan`` to pixels of ``reference``, another scan of the same form.

    By features, or by corner squares if both have them, whichever agrees better. None if the two
    do not share enough print.
    """
    here, there = Overview.of(scan), Overview.of(reference)
    starts = _by_squares(here, there)
    found = _agreed(_features(here), _features(there), flat=True)
    if found is not None:
        starts.append(found)
    if not starts:
        return None
    best = max(starts, key=lambda start: _likeness(here, there, start))
    closer = max((best, _closer(here, there, best)), key=lambda t: _likeness(here, there, t))
    if _likeness(here, there, closer) < _LEAST_LIKENESS:
        return None
    return np.asarray(there.to_page @ closer @ np.linalg.inv(here.to_page), np.float64)


def _by_squares(here: Overview, there: Overview) -> list[Matrix]:
    """The four ways to map the corner squares of one page onto those of another."""
    one, other = corner_squares(here), corner_squares(there)
    if one is None or other is None:
        return []
    return [fit_affine(np.roll(one, turn, axis=0), other) for turn in range(4)]


def _likeness(here: Overview, there: Overview, change: Matrix) -> float:
    """Correlation of two blurred pages, one mapped onto the other."""
    height, width = there.grey.shape
    laid = cv2.warpPerspective(here.grey, change, (width, height), borderValue=(255, 255, 255))
    one, other = (
        cv2.GaussianBlur(cv2.resize(each, None, fx=0.5, fy=0.5), (0, 0), 1.5).ravel()
        for each in (laid, there.grey)
    )
    return float(np.corrcoef(one, other)[0, 1])


def _closer(here: Overview, there: Overview, start: Matrix) -> Matrix:
    """Refine on all pixels (ECC, Evangelidis and Psarakis 2008): features are a pixel off.

    Affine, as scans are: with sparse print, a perspective would distort the rest. At half the size,
    since seconds of iterations at full size are no better.
    """
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-5)
    half = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
    small = [
        cv2.resize(each.grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        for each in (there, here)
    ]
    pictures = [cv2.GaussianBlur(each, (0, 0), 1.5) for each in small]
    first = half @ np.linalg.inv(start) @ np.linalg.inv(half)
    first = np.ascontiguousarray((first / first[2, 2])[:2], np.float32)
    try:
        _, back = cv2.findTransformECC(*pictures, first, cv2.MOTION_AFFINE, criteria)
    except cv2.error:
        return start
    back = np.vstack([back.astype(np.float64), [0.0, 0.0, 1.0]])
    whole = np.linalg.inv(half) @ back @ half
    return np.asarray(np.linalg.inv(whole), np.float64)


def _template_to_blank(blank: Blank, shape: tuple[int, int]) -> Matrix:
    height, width = shape
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    return fit_perspective(corners(blank.box), pixels)
