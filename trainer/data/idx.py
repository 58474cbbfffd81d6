"""MNIST: IDX files from a folder, else downloaded by Keras; verified by hash."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import UsageError
from inkmill.trainer.data.samples import TEST, TRAIN, Dataset, Sample

#: MD5 of the four unpacked files as their authors published them.
_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_MAGIC = {1: 0x00000801, 3: 0x00000803}


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """An IDX file of bytes, plain or gzip. Raises UsageError with the file's name."""
    return _parse(path, _unpack(path), dimensions)


def _unpack(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{path}: damaged gzip ({error}): download it again") from None


def _parse(path: Path, data: bytes, dimensions: int) -> NDArray[np.uint8]:
    header = 4 + 4 * dimensions
    magic = int.from_bytes(data[:4], "big")
    if len(data) < header or magic != _MAGIC[dimensions]:
        raise UsageError(
            f"{path}: magic number {magic:#010x}, not {_MAGIC[dimensions]:#010x}: "
            f"not an IDX file of bytes in {dimensions} dimensions"
        )
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4)]
    if len(data) - header != int(np.prod(shape)):
        raise UsageError(
            f"{path}: {len(data) - header} bytes, but its header says {int(np.prod(shape))}: "
            "download it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


#: QMNIST's tables: the type of int32, two dimensions; the third of eight columns is the writer.
_INT32_TABLE, _COLUMNS, _WRITER = 0x00000C02, 8, 2


def _writers(folder: Path | None, part: str, labels: NDArray[np.uint8]) -> list[str]:
    """Who wrote each image of a part, by QMNIST's labels; empty without a folder of them."""
    if folder is None:
        return [""] * len(labels)
    path = _find(folder, f"qmnist-{part}-labels-idx2-int")
    data = _unpack(path)
    if int.from_bytes(data[:4], "big") != _INT32_TABLE or (len(data) - 12) % (4 * _COLUMNS):
        raise UsageError(f"{path}: not QMNIST's labels: download them again")
    table = np.frombuffer(data, ">i4", offset=12).reshape(-1, _COLUMNS)[: len(labels)]
    if len(table) < len(labels) or (table[:, 0] != labels).any():
        raise UsageError(f"{path}: its classes are not those of MNIST's {part} labels")
    return [f"nist{number}" for number in table[:, _WRITER].tolist()]


def mnist(folder: Path, name: str, writers: Path | None = None) -> Dataset:
    """MNIST from a folder of the four IDX files, in its own training and test parts.

    ``writers`` is a folder of QMNIST's labels (Yadav and Bottou, 2019), which say who wrote each.
    A set in MNIST's format with other contents (Fashion, EMNIST) is read too, and noted. Without
    the folder, Keras downloads and verifies MNIST.
    """
    if not folder.exists():
        return _from_keras(folder, name)
    result = Dataset()
    original = True
    for part, stem in ((TRAIN, "train"), (TEST, "t10k")):
        arrays = []
        for kind, dimensions in (("images-idx3-ubyte", 3), ("labels-idx1-ubyte", 1)):
            path = _find(folder, f"{stem}-{kind}")
            data = _unpack(path)
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            original = original and digest == _MD5[f"{stem}-{kind}"]
            arrays.append(_parse(path, data, dimensions))
        images, labels = arrays
        if len(images) != len(labels):
            raise UsageError(
                f"{folder}: {stem} has {len(images)} images, but {len(labels)} labels: download "
                "both files again"
            )
        result.samples.extend(
            Sample(image, str(label), name, f"{stem}-images-idx3-ubyte[{number}]", group, part=part)
            for number, (image, label, group) in enumerate(
                zip(images, labels.tolist(), _writers(writers, part, labels), strict=True)
            )
        )
    result.notes.append(
        f"{name}: MNIST as its authors published it; the hashes agree"
        if original
        else f"{name}: files in MNIST's format with other contents than MNIST's"
    )
    return result


def _find(folder: Path, stem: str) -> Path:
    for path in (folder / stem, folder / f"{stem}.gz"):
        if path.exists():
            return path
    raise UsageError(f"{folder}: neither {stem} nor {stem}.gz found: MNIST has four such files")


def _from_keras(folder: Path, name: str) -> Dataset:
    try:
        from keras.datasets import mnist as keras_mnist

        parts = keras_mnist.load_data()
    except Exception as error:
        # Keras raises plain Exception if the download fails or the hash differs.
        raise UsageError(
            f"{folder}: folder not found, and MNIST could not be downloaded ({error}): put the "
            "four IDX files there, or set INKMILL_DATA to the folder that contains mnist/"
        ) from None
    return Dataset(
        [
            Sample(image, str(label), name, f"mnist {part}[{number}]", part=part)
            for part, (images, labels) in zip((TRAIN, TEST), parts, strict=True)
            for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True))
        ]
    )
