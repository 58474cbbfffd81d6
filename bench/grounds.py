"""Single digits by hands that the model never saw, on many grounds; and what is no digit.

    python -m bench.grounds

MNIST's test images, and digits, letters, symbols and crosses by writers of UNIPEN whom the shipped
config holds back for testing, drawn with pens of three widths, tight, coarse and on waves of print.
Prints, for each, how many are read right and how many are sure, with those that are wrong among
them. ``--once`` reads each image once. The data folder must hold unipen/.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.filled import ROOT
from bench.material import digits
from bench.people import held_back, ink_of, with_pen
from inkmill.cli.model_argument import read_folder
from inkmill.forms.cut.normalise import normalise
from inkmill.models.predictor import Predictor
from inkmill.trainer.crops import negatives
from inkmill.trainer.crops.stamps import SIDE
from inkmill.trainer.data.samples import Sample

Grey = NDArray[np.uint8]
Random = np.random.Generator
#: A set of images, dark on light, and what is written on each.
Labelled = tuple[str, list[Grey], list[str]]

_SURE = (0.99, 0.999)
#: Pens: how much wider than the thinnest, as parts of a digit's height.
_PENS = {"fine pen": 0.0, "medium pen": 0.04, "broad pen": 0.08}
_DRAWN = 1000


def pens(samples: Sequence[Sample], wider: float) -> list[Grey]:
    """The samples' ink drawn with one pen, dark on light, 128 pixels square."""
    return [255 - with_pen(ink_of(each.image), wider) for each in samples]


def tight(images: Sequence[Grey]) -> list[Grey]:
    """Images cut to the outline of their ink."""
    found = []
    for image in images:
        rows, columns = np.nonzero(image < 155)
        found.append(image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    return found


def coarse(images: Sequence[Grey], rng: Random, side: int = 30) -> list[Grey]:
    """Images as of a noisy scan at 110 dpi: so many pixels wide."""
    found = []
    for image in images:
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(np.float64)
        noisy = small * 0.85 + 20 + rng.normal(0, 5, small.shape)
        found.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return found


def waves(images: Sequence[Grey], rng: Random) -> list[Grey]:
    """Images over waves of print, as on cheques."""
    found = []
    for image in images:
        rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
        phase, pitch, angle = rng.uniform(0, 6.28), rng.uniform(0.15, 0.5), rng.uniform(0, 3.14)
        across = np.cos(angle) * columns + np.sin(angle) * rows + 4 * np.sin(rows / 9)
        ground = 215 + 25 * np.sin(pitch * across + phase)
        found.append(np.minimum(image * 0.9 + 20, ground).astype(np.uint8))
    return found


def labelled(rng: Random) -> Iterator[Labelled]:
    """Digits on each ground."""
    mnist = digits("mnist-test")
    dark = [np.asarray(255 - image, np.uint8) for image in mnist.images]
    names = [str(each) for each in mnist.labels]
    yield "MNIST's test images", dark, names
    yield "MNIST's test images as they are", list(mnist.images), names
    swiss = held_back()["numbers_ch"]
    yield "two Swiss writers", [each.image for each in swiss], [each.label for each in swiss]
    unipen = held_back()["unipen_digits"]
    said = [each.label for each in unipen]
    for name, wider in _PENS.items():
        yield f"UNIPEN, {name}", pens(unipen, wider), said
    yield "UNIPEN, cut to the outline", tight(pens(unipen, 0.04)), said
    yield "UNIPEN, 110 dpi with noise", coarse(pens(unipen, 0.03), rng), said
    yield "UNIPEN, on waves of print", waves(pens(unipen, 0.05), rng), said
    large = [cv2.resize(each, (84, 84), interpolation=cv2.INTER_CUBIC) for each in dark[::5]]
    yield (
        "MNIST, on waves of print",
        waves([np.asarray(each, np.uint8) for each in large], rng),
        (names[::5]),
    )


def others(rng: Random) -> Iterator[tuple[str, list[Grey]]]:
    """What is no digit."""
    held = held_back()
    yield "letters", pens(held["unipen_letters"], 0.03)
    symbols = [each for each in held["unipen_symbols"] if each.label == "reject"]
    yield "symbols", pens(symbols, 0.03)
    for name, wider in _PENS.items():
        yield f"crosses, {name}", pens(held["unipen_crosses"], wider)
    written = [_stamp(each) for each in held["unipen_digits"]]
    labels = np.array([each.label for each in held["unipen_digits"]])
    stamps = negatives.DigitStamps(
        np.stack(written), {str(n): np.flatnonzero(labels == str(n)) for n in range(10)}
    )
    for draw in (
        negatives.struck_out,
        negatives.overwritten,
        negatives.two_digits,
        negatives.scribble,
    ):
        drawn = [np.asarray(255 - draw(stamps, rng), np.uint8) for _ in range(_DRAWN)]
        yield draw.__name__.replace("_", " "), drawn
    marks = [_stamp(each) for each in held["unipen_crosses"]]
    both = [
        255 - np.maximum(written[rng.integers(len(written))], marks[rng.integers(len(marks))])
        for _ in range(_DRAWN)
    ]
    yield "a digit with a person's cross over it", both


def _stamp(sample: Sample) -> Grey:
    drawn = with_pen(ink_of(sample.image), 0.03)
    return np.asarray(cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def reader(predictor: Predictor) -> Callable[[Sequence[Grey]], NDArray[np.float32]]:
    """Reads images as a worker does; one without ink is an empty crop."""
    size, filters = predictor.manifest.input_size, predictor.manifest.filters
    empty = np.zeros((size, size), np.uint8)

    def read(images: Sequence[Grey]) -> NDArray[np.float32]:
        crops = [normalise(np.asarray(each, np.uint8), size, filters) for each in images]
        return predictor.predict(np.stack([empty if crop is None else crop for crop in crops]))

    return read


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.grounds", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models/pretrained")
    parser.add_argument("--once", action="store_true", help="read each image at one size")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    files = read_folder(arguments.model)
    if arguments.once:
        files = replace(files, manifest=replace(files.manifest, sizes=()))
    predictor = Predictor(files.manifest, files.weights)
    read, classes = reader(predictor), np.array(files.manifest.classes)
    is_digit = np.array([name.isdigit() for name in classes])
    rng = np.random.default_rng(0)
    for name, images, said in labelled(rng):
        found = read(images)
        best, sure = found.argmax(axis=1), found.max(axis=1)
        right = classes[best] == np.array(said)
        words = [f"{name}: {len(said)}, right {right.mean():.2%}"]
        for level in _SURE:
            held = is_digit[best] & (sure >= level)
            words.append(f"at {level} {held.mean():.1%} ({(held & ~right).sum()} wrong)")
        print(", ".join(words), flush=True)
    for name, images in others(rng):
        found = read(images)
        digit = found[:, is_digit].max(axis=1) >= _SURE[0]
        words = [f"{name}: {len(images)}, as a digit at {_SURE[0]} {digit.mean():.1%}"]
        if "X" in classes:
            crossed = found[:, list(classes).index("X")]
            words += [f"as X at {level} {(crossed >= level).mean():.1%}" for level in (0.95, 0.99)]
        print(", ".join(words), flush=True)


if __name__ == "__main__":
    main()
