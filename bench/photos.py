"""Photos of digits by three synthetic writers, in files of all kinds, for the tutorial.

    python -m bench.photos FOLDER

Writes FOLDER/digits, 40 images of each digit to learn from, and FOLDER/unseen, 60 of each to
measure on. They are MNIST's test images (INKMILL_DATA holds mnist/), which the shipped model was
not trained on, in the hands of `bench.tuning`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.material import data_folder
from bench.tuning import Hand
from inkmill.trainer.data import idx
from inkmill.trainer.data.samples import TEST, Sample

#: Writers, and images of each digit in the two folders.
_WRITERS, _EACH = 3, {"digits": 40, "unseen": 60}
_KINDS = ("jpg", "png", "bmp", "tif", "webp", "gif")
#: Which three hands.
_SEED = 7


def write_photos(digits: Sequence[Sample], folder: Path, each: dict[str, int]) -> None:
    """Write so many images of each digit into each folder below ``folder``, by class."""
    rng = np.random.default_rng(_SEED)
    hands = [Hand.draw(rng) for _ in range(_WRITERS)]
    for label in sorted({sample.label for sample in digits}):
        mine = [sample.image for sample in digits if sample.label == label]
        order = iter(rng.permutation(len(mine)).tolist())
        for name, count in each.items():
            place = folder / name / label
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                photo = _photo(hands[number % _WRITERS].write(mine[next(order)], rng), rng)
                file = f"writer{number % _WRITERS}_{number:03d}.{_KINDS[number % len(_KINDS)]}"
                Image.fromarray(photo).save(place / file)


def _photo(cell: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A cell under a lamp at its left."""
    light = np.linspace(1.0, rng.uniform(0.75, 1.0), cell.shape[1])
    return np.asarray((cell * light).clip(0, 255), np.uint8)


def main() -> None:
    """Write the two folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    samples = idx.mnist(data_folder() / "mnist", "mnist").samples
    write_photos([each for each in samples if each.part == TEST], folder, _EACH)


if __name__ == "__main__":
    main()
