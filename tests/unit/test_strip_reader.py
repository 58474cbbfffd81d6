"""The reader of strips: batches, probabilities, versions, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill.errors import ModelError, UsageError
from inkmill.forms.cut.strip import normalise_strip
from inkmill.models import ctc, pretrained
from inkmill.models.architectures import ARCHITECTURES, Along, Columns, Conv, Dense, weight_shapes
from inkmill.models.manifest import Blob, Manifest
from inkmill.models.weights import Golden, ModelFiles, encode_weights

pytestmark = pytest.mark.tensorflow

SHAPES = ((1, 64), (4, 64), (4, 128))
CLASSES = (*"0123456789", ".", "-", "X", "$", "reject")


def model(seed: int = 1, temperature: float = 1.0, floor: float = 0.0) -> ModelFiles:
    """An untrained reader, which says something else of every strip."""
    from inkmill.models.strips import StripReader

    network = ARCHITECTURES["strips"]
    rng = np.random.default_rng(seed)
    shapes = weight_shapes(network.layers, network.input_size, len(CLASSES))
    arrays = {
        name: (rng.normal(0, 2 / np.sqrt(np.prod(shape[:-1])), shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    weights = encode_weights(arrays)
    manifest = Manifest(
        architecture="strips",
        layers=network.layers,
        classes=CLASSES,
        input_size=network.input_size,
        weights=Blob.of(weights),
        golden=Blob("0" * 64, 1),
        temperature=temperature,
        floor=floor,
    )
    crops = np.stack(strips((128, 128)))
    frames = StripReader(manifest, weights, shapes=SHAPES).frames(list(crops))
    golden = Golden(crops, np.stack(frames).astype(np.float32)).encode()
    return ModelFiles(replace(manifest, golden=Blob.of(golden)), weights, golden)


def strips(widths: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [(rng.random((40, width)) < 0.3).astype(np.uint8) * 255 for width in widths]


@pytest.fixture(scope="module")
def files() -> ModelFiles:
    return model(temperature=1.2, floor=0.01)


@pytest.fixture(scope="module")
def reader(files: ModelFiles) -> Any:
    from inkmill.models.strips import StripReader

    return StripReader(files.manifest, files.weights, shapes=SHAPES)


def test_each_strip_is_read_the_same_whatever_is_read_with_it(reader: Any) -> None:
    several = strips((30, 64, 128, 65, 17, 40, 64))
    together = reader.read(several)
    alone = [reader.read([each])[0] for each in several]
    assert [[h.text for h in each[:3]] for each in together] == [
        [h.text for h in each[:3]] for each in alone
    ]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(
            [h.probability for h in one], [h.probability for h in other], rtol=1e-3, atol=1e-6
        )
    assert reader.read([]) == []


def test_hypotheses_are_ordered_distinct_and_leave_a_rest(reader: Any) -> None:
    for found in reader.read(strips((64, 128))):
        assert 0 < len(found) <= 20
        given = [each.probability for each in found]
        assert given == sorted(given, reverse=True)
        assert sum(given) <= 1
        assert len({each.text for each in found}) == len(found)
        assert all(each.text and set(each.text) <= set("0123456789.-X$") for each in found)


def test_probabilities_are_those_of_all_paths_after_calibration(reader: Any) -> None:
    (strip,) = strips((40,))
    frames, found = reader.frames([strip])[0], reader.read([strip])[0]
    texts = [tuple(CLASSES.index(symbol) for symbol in each.text) for each in found]
    exact = ctc.calibrated(ctc.probabilities(frames, texts), 1.2, 0.01)
    np.testing.assert_allclose([each.probability for each in found], exact, rtol=1e-6)


def test_a_strip_of_rejects_gives_no_number(files: ModelFiles) -> None:
    from inkmill.models.strips import StripReader

    arrays = {name: np.zeros(shape, np.float32) for name, shape in files.manifest.shapes.items()}
    arrays["logits/bias"][CLASSES.index("reject")] = 20.0
    weights = encode_weights(arrays)
    manifest = replace(files.manifest, weights=Blob.of(weights))
    found = StripReader(manifest, weights, shapes=SHAPES).read(strips((64,)))[0]
    assert sum(each.probability for each in found) < 0.01


def test_another_version_is_swapped_in_and_checked(files: ModelFiles) -> None:
    from inkmill.models.strips import StripReader

    other = model(seed=2)
    reader = StripReader(files.manifest, files.weights, shapes=SHAPES)
    assert reader.check(files.golden) < 1e-3
    reader.load(other.manifest, other.weights)
    assert reader.version == other.manifest.version
    assert reader.check(other.golden) < 1e-3
    # The first one's weights with the other's golden set: what is published must agree.
    mixed = replace(files.manifest, golden=other.manifest.golden)
    reader.load(mixed, files.weights)
    with pytest.raises(ModelError, match="golden set changed"):
        reader.check(other.golden)


def test_what_does_not_fit_is_refused(files: ModelFiles, reader: Any) -> None:
    from inkmill.models.predictor import Predictor
    from inkmill.models.strips import StripReader

    digits = pretrained.load()
    with pytest.raises(ModelError, match="reads single digits, not strips"):
        StripReader(digits.manifest, digits.weights)
    with pytest.raises(ModelError, match="reads strips"):
        Predictor(files.manifest, files.weights)
    with pytest.raises(ModelError, match="different network"):
        reader.load(digits.manifest, digits.weights)
    with pytest.raises(UsageError, match="40 px high"):
        reader.read([np.zeros((28, 64), np.uint8)])
    with pytest.raises(UsageError, match="at most 128 px wide"):
        reader.read([np.zeros((40, 129), np.uint8)])
    with pytest.raises(UsageError, match="float32 or bfloat16"):
        StripReader(files.manifest, files.weights, precision="int8")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Along(4),), "needs columns before it"),
        ((Columns(), Dense(4)), "cannot follow the columns"),
        ((Columns(), Conv(4)), "cannot follow"),
    ],
)
def test_layers_in_a_wrong_order_are_refused(layers: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        weight_shapes(layers, 40, 15)


def test_the_manifest_survives_a_round(files: ModelFiles) -> None:
    again = Manifest.decode(files.manifest.encode())
    assert again == files.manifest
    assert again.reads_strips
    assert again.shapes["logits/kernel"][1] == len(CLASSES) + 1


def drawn(text: str, font: int = cv2.FONT_HERSHEY_SCRIPT_SIMPLEX) -> np.ndarray:
    """A strip of text on grey paper."""
    strip = np.full((90, 60 + 45 * max(4, len(text))), 205, np.uint8)
    cv2.putText(strip, text, (25, 62), font, 1.6, 55, 3, cv2.LINE_AA)
    return strip


def struck() -> np.ndarray:
    """A number struck out, with another one above it."""
    strip = np.full((140, 300), 205, np.uint8)
    cv2.putText(strip, "4825", (60, 115), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 55, 3, cv2.LINE_AA)
    cv2.line(strip, (50, 98), (215, 92), 55, 3, cv2.LINE_AA)
    cv2.putText(strip, "617", (90, 55), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 55, 3, cv2.LINE_AA)
    return strip


def scribbled() -> np.ndarray:
    """A number made unreadable by a zigzag."""
    strip = drawn("3960", font=cv2.FONT_HERSHEY_SIMPLEX)
    points = [(x, 25 + 40 * (n % 2)) for n, x in enumerate(range(25, 180, 9))]
    cv2.polylines(strip, [np.array(points, np.int32)], False, 55, 4, cv2.LINE_AA)
    return strip


def dot() -> np.ndarray:
    strip = np.full((60, 200), 205, np.uint8)
    cv2.circle(strip, (90, 38), 3, 55, -1, cv2.LINE_AA)
    return strip


HARD = {
    "empty": np.full((60, 200), 205, np.uint8),
    "dot": dot(),
    "letters": drawn("Amount"),
    "capitals": drawn("NKMRW", font=cv2.FONT_HERSHEY_SIMPLEX),
    "struck out, with another above": struck(),
    "scribbled over": scribbled(),
    "letters among digits": drawn("4K72", font=cv2.FONT_HERSHEY_SIMPLEX),
}


@pytest.fixture(scope="module")
def shipped() -> Any:
    from inkmill.models.strips import StripReader

    if not pretrained.ships_strips():
        pytest.skip("this installation ships no model of numbers without cells")
    files = pretrained.load_strips()
    reader = StripReader(files.manifest, files.weights, shapes=((4, 128), (4, 256)))
    assert reader.check(files.golden) < 2e-3
    return reader


@pytest.mark.parametrize("name", HARD)
def test_what_is_no_number_is_never_accepted(shipped: Any, name: str) -> None:
    strip = normalise_strip(HARD[name])
    found = [] if strip is None else shipped.read([strip])[0]
    numbers = [each for each in found if any(symbol.isdigit() for symbol in each.text)]
    assert all(each.probability < 0.99 for each in numbers), numbers


def test_the_shipped_reader_reads_plain_numbers(shipped: Any) -> None:
    texts = ["2048", "731", "90.5", "16"]
    strips = [normalise_strip(drawn(text, font=cv2.FONT_HERSHEY_SIMPLEX)) for text in texts]
    found = [each[0] for each in shipped.read([strip for strip in strips if strip is not None])]
    assert [each.text for each in found] == texts


def test_the_shipped_weights_are_small(shipped: Any) -> None:
    assert shipped.manifest.weights.size < 7_000_000
