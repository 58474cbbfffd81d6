"""Digits drawn by OpenCV's pen font: small data sets that tests write themselves."""

from __future__ import annotations

import gzip
from pathlib import Path

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX


def cell(label: str, seed: int, side: int = 48) -> np.ndarray:
    """A cell with a digit, dark on white, a little different for each seed."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side), 245, np.uint8)
    at = (int(rng.integers(8, 16)), int(rng.integers(34, 42)))
    cv2.putText(image, label, at, FONT, float(rng.uniform(0.9, 1.2)), 40, int(rng.integers(2, 4)))
    return image


def write_folder(root: Path, each: int = 6, labels: str = "0123456789") -> Path:
    """A folder for each class; file names are 7_0001.png."""
    for label in labels:
        (root / label).mkdir(parents=True)
        for number in range(each):
            name = f"{label}_{number:04d}.png"
            cv2.imwrite(str(root / label / name), cell(label, number * 10 + int(label)))
    return root


def write_mnist(root: Path, train: int = 60, test: int = 20) -> Path:
    """A folder of IDX files in MNIST's format, with drawn digits."""
    root.mkdir(parents=True)
    for stem, count, seed in (("train", train, 0), ("t10k", test, 1000)):
        images = np.zeros((count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for at, label in enumerate(labels):
            small = cv2.resize(255 - cell(str(label), seed + at), (28, 28))
            images[at] = np.where(small < 20, 0, small)
        write_idx(root / f"{stem}-images-idx3-ubyte.gz", images)
        write_idx(root / f"{stem}-labels-idx1-ubyte.gz", labels)
    return root


def write_idx(path: Path, array: np.ndarray) -> None:
    header = (0x0800 + array.ndim).to_bytes(4, "big")
    header += b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
