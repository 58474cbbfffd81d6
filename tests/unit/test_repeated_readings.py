"""Doubtful crops are read again at other sizes; what is sure is read once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill.errors import ModelError
from inkmill.models import pretrained
from inkmill.models.manifest import Manifest
from inkmill.models.predictor import Predictor
from inkmill.models.resized import resized
from inkmill.models.weights import Golden
from inkmill.trainer.measure.metrics import at_temperature
from tests.unit.single_networks import network_alone

SIZES = (0.85, 1.12)


@pytest.fixture(scope="module")
def shipped() -> Any:
    return network_alone(pretrained.load())


@pytest.fixture(scope="module")
def crops(shipped: Any) -> np.ndarray:
    """The golden set, and the same crops damaged so that many become doubtful."""
    whole = Golden.decode(shipped.golden, shipped.manifest).crops
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 60, whole.shape)
    return np.concatenate([whole, np.clip(whole + noise, 0, 255).astype(np.uint8)])


def predictor(shipped: Any, **changes: Any) -> Predictor:
    manifest = replace(shipped.manifest, temperature=1.0, floor=0.0, sizes=(), margin=0.0)
    return Predictor(replace(manifest, **changes), shipped.weights, shapes=(16, 256))


def test_the_mean_of_the_logits_decides_where_the_first_reading_was_doubtful(
    shipped: Any, crops: np.ndarray
) -> None:
    plain = predictor(shipped)
    logits = [np.log(np.clip(plain.predict(crops).astype(np.float64), 1e-12, None))]
    best = np.sort(logits[0], axis=1)
    doubtful = best[:, -1] - best[:, -2] < 5.0
    assert 10 < doubtful.sum() < len(crops) - 10
    logits += [
        np.log(np.clip(plain.predict(resized(crops, size)).astype(np.float64), 1e-12, None))
        for size in SIZES
    ]
    for temperature, floor in ((1.0, 0.0), (0.8, 1e-3), (1.7, 3e-5)):
        model = predictor(shipped, sizes=SIZES, margin=5.0, temperature=temperature, floor=floor)
        expected = at_temperature(
            np.where(doubtful[:, None], np.mean(logits, axis=0), logits[0]), temperature
        )
        expected = expected * (1 - floor) + floor / expected.shape[1]
        found = model.predict(crops)
        np.testing.assert_allclose(found, expected, atol=2e-3)
        np.testing.assert_array_equal(found[~doubtful], model.once(crops)[~doubtful])
        assert np.abs(found - model.once(crops))[doubtful].max() > 0.1


def test_a_reading_does_not_depend_on_its_neighbours(shipped: Any, crops: np.ndarray) -> None:
    model = predictor(shipped, sizes=SIZES, margin=5.0)
    alone = np.concatenate([model.predict(crops[at : at + 1]) for at in range(0, len(crops), 9)])
    np.testing.assert_allclose(model.predict(crops)[::9], alone, atol=1e-3)
    assert model.predict(crops[:0]).shape == (0, len(shipped.manifest.classes))


def test_the_golden_set_checks_the_network_alone(shipped: Any) -> None:
    once = predictor(
        shipped, temperature=shipped.manifest.temperature, floor=shipped.manifest.floor
    )
    often = predictor(
        shipped,
        temperature=shipped.manifest.temperature,
        floor=shipped.manifest.floor,
        sizes=SIZES,
        margin=100.0,
    )
    assert once.check(shipped.golden) == often.check(shipped.golden)


def test_resized_ink_keeps_its_centre() -> None:
    crop = np.zeros((1, 28, 28), np.uint8)
    cv2.ellipse(crop[0], (14, 13), (6, 9), 0, 0, 360, 255, 2)
    assert np.array_equal(resized(crop, 1.0), crop)
    for scale in (0.8, 1.2):
        other = resized(crop, scale)
        _, _, width, height = cv2.boundingRect((crop[0] > 60).astype(np.uint8))
        _, _, wide, high = cv2.boundingRect((other[0] > 60).astype(np.uint8))
        assert abs(wide - scale * width) <= 2
        assert abs(high - scale * height) <= 2
        middles = [np.argwhere(each[0] > 60).mean(axis=0) - 13.5 for each in (crop, other)]
        assert np.abs(middles[1] - scale * middles[0]).max() < 0.4


def test_a_manifest_says_how_it_reads(shipped: Any) -> None:
    manifest = replace(shipped.manifest, sizes=SIZES, margin=5.0)
    assert Manifest.decode(manifest.encode()) == manifest
    plain = replace(shipped.manifest, sizes=(), margin=0.0)
    assert "sizes" not in json.loads(plain.encode())["calibration"]
    assert Manifest.decode(plain.encode()) == plain
    for sizes, margin, message in (
        ((0.1,), 5.0, "calibration.sizes is 0.1: use 0.5 to 2"),
        ((0.9,) * 9, 5.0, "at most 8 numbers"),
        ((0.9,), -1.0, "calibration.margin is -1"),
    ):
        with pytest.raises(ModelError, match=message):
            Manifest.decode(replace(shipped.manifest, sizes=sizes, margin=margin).encode())
