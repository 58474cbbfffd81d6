"""Handwritten digits to draw on synthetic pages, from MNIST's files."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class HandwrittenDigits:
    """Digits to draw: ``images`` uint8 (n, h, w), white ink on black; ``labels`` (n,).

    ``crosses`` uint8 (n, h, w) are marks X by hand, if there are any.
    """

    images: Grey
    labels: NDArray[np.int64]
    crosses: Grey = field(default_factory=lambda: np.zeros((0, 1, 1), np.uint8))

    def draw(self, digit: int, rng: np.random.Generator) -> tuple[Grey, int]:
        """A random image of ``digit``, cut to its ink, and its number in the source."""
        number = int(rng.choice(np.flatnonzero(self.labels == digit)))
        return tight(self.images[number]), number

    def cross(self, rng: np.random.Generator) -> Grey | None:
        """A random mark X, cut to its ink; None if there is none."""
        if not len(self.crosses):
            return None
        return tight(self.crosses[int(rng.integers(len(self.crosses)))])


def tight(image: Grey) -> Grey:
    """A light-on-dark image cut to its ink."""
    rows, columns = np.flatnonzero(image.max(axis=1) > 40), np.flatnonzero(image.max(axis=0) > 40)
    if not len(rows):
        return image
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def load_digits(folder: Path, source: str = "mnist-test") -> HandwrittenDigits:
    """Digits of a data folder: "mnist-test" or "mnist-train" (IDX files in ``mnist/``).

    Raises UsageError if the files are missing or are not MNIST's.
    """
    names = {"mnist-test": "t10k", "mnist-train": "train"}
    if source not in names:
        raise UsageError(f"{source!r} is not a source of digits: use {' or '.join(names)}")
    base = Path(folder) / "mnist" / names[source]
    images = _read_idx(base.with_name(f"{base.name}-images-idx3-ubyte.gz"))
    labels = _read_idx(base.with_name(f"{base.name}-labels-idx1-ubyte.gz"))
    return HandwrittenDigits(images, labels.astype(np.int64))


def _read_idx(path: Path) -> Grey:
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}): set INKMILL_DATA to the folder that contains mnist/"
        ) from error
    magic, count = struct.unpack_from(">II", data)
    if magic not in (0x801, 0x803):
        raise UsageError(f"{path} is not one of MNIST's files")
    offset, shape = (8, (count,)) if magic == 0x801 else (16, (count, 28, 28))
    return np.frombuffer(data, np.uint8, offset=offset).reshape(shape)
