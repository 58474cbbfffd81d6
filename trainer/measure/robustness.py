"""Robustness: accuracy when digits are shifted, turned, blurred, thinned or badly scanned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.normalise import normalise
from inkmill.models.predictor import Predictor
from inkmill.trainer.crops import augment, square
from inkmill.trainer.crops.stamps import SIDE, stamp
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.measure.metrics import Share

Grey = NDArray[np.uint8]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class DamageTrial:
    """One kind of damage, and the accuracy with it."""

    name: str
    share: Share


def _moved(ink: Grey, degrees: float, x: float = 0, y: float = 0, size: float = 0.8) -> Grey:
    centre = (SIDE - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), degrees, size)
    matrix[:, 2] += x * SIDE, y * SIDE
    return np.asarray(cv2.warpAffine(ink, matrix, (SIDE, SIDE)), np.uint8)


def _cell(ink: Grey, darkness: float = 0.75, paper: float = 240) -> Grey:
    return np.asarray(paper - ink.astype(np.float32) * (darkness * paper / 255), np.uint8)


def _noisy(cell: Grey, deviation: float, rng: Random) -> Grey:
    return np.asarray(np.clip(cell + rng.normal(0, deviation, cell.shape), 0, 255), np.uint8)


def _lined(ink: Grey, depth: int) -> Grey:
    cell = _cell(ink)
    cell[:depth] = 40
    cell[:, -depth:] = 40
    return cell


def _small(cell: Grey, side: int) -> Grey:
    return np.asarray(cv2.resize(cell, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _plain(ink: Grey) -> Grey:
    return _moved(ink, 0)


def _morphed(ink: Grey, thicker: bool) -> Grey:
    kernel = np.ones((3, 3), np.uint8)
    return np.asarray((cv2.dilate if thicker else cv2.erode)(ink, kernel), np.uint8)


_TRIALS: dict[str, Callable[[Grey, Random], Grey]] = {
    "clean cell": lambda ink, _: _cell(_plain(ink)),
    "shifted by 10 % of the cell": lambda ink, _: _cell(_moved(ink, 0, 0.1, -0.1)),
    "turned by 10 degrees": lambda ink, _: _cell(_moved(ink, 10)),
    "turned by -20 degrees": lambda ink, _: _cell(_moved(ink, -20)),
    "half the size": lambda ink, _: _cell(_moved(ink, 0, size=0.5)),
    "blurred": lambda ink, _: _cell(
        np.asarray(cv2.GaussianBlur(_plain(ink), (0, 0), 1.5), np.uint8)
    ),
    "noise, deviation 10": lambda ink, rng: _noisy(_cell(_plain(ink)), 10, rng),
    "thinner strokes": lambda ink, _: _cell(_plain(_morphed(ink, thicker=False))),
    "thicker strokes": lambda ink, _: _cell(_plain(_morphed(ink, thicker=True))),
    "faint pencil": lambda ink, rng: _noisy(_cell(_plain(ink), darkness=0.2), 3, rng),
    "remains of lines, 2 px": lambda ink, _: _lined(_plain(ink), 2),
    "remains of lines, 5 px": lambda ink, _: _lined(_plain(ink), 5),
    "110 dpi": lambda ink, _: _small(_cell(_plain(ink)), 30),
    "110 dpi, black and white": lambda ink, _: np.asarray(
        cv2.threshold(_small(_cell(_plain(ink)), 30), 150, 255, cv2.THRESH_BINARY)[1], np.uint8
    ),
}


def robustness(
    predictor: Predictor, samples: Sequence[Sample], limit: int = 1000, seed: int = 33
) -> list[DamageTrial]:
    """Read samples with each kind of damage; at most ``limit`` of them, drawn by seed.

    Each digit's ink is put on a cell of 64 px, damaged, and normalised like in a worker.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(samples))[:limit]
    stamps = [(stamp(samples[at].image), samples[at].label) for at in chosen]
    inks = [(ink, label) for ink, label in stamps if ink is not None]
    labels = [label for _, label in inks]
    trials = [
        _trial(predictor, name, [damage(ink, rng) for ink, _ in inks], labels)
        for name, damage in _TRIALS.items()
    ]
    digits = [label for label in labels if label.isdigit()]
    squares = [_cell(_plain(augment.redraw(square.skeleton(each, rng), rng))) for each in digits]
    return [*trials, _trial(predictor, "redrawn, square, along guides", squares, digits)]


def _trial(
    predictor: Predictor, name: str, cells: Sequence[Grey], labels: Sequence[str]
) -> DamageTrial:
    """Normalise and read cells; one without ink counts as wrong."""
    manifest = predictor.manifest
    found = [normalise(cell, manifest.input_size, manifest.filters) for cell in cells]
    crops = [crop for crop in found if crop is not None]
    empty = np.zeros((0, manifest.input_size, manifest.input_size), np.uint8)
    readings = predictor.predict(np.stack(crops) if crops else empty).argmax(axis=1)
    truth = [label for label, crop in zip(labels, found, strict=True) if crop is not None]
    right = sum(
        manifest.classes[reading] == label for reading, label in zip(readings, truth, strict=True)
    )
    return DamageTrial(name, Share(right, len(cells)))
