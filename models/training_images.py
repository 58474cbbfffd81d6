"""Which images a model was trained on: digests, so that evaluation can leave them out.

The list is a file beside the weights: the first eight bytes of each image's digest (BLAKE2b of the
pixels and their shape), sorted. With 100,000 images it has 800 kB and takes one of 10^14 others for
one of its own. It tells nobody what the images show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError

#: Name of the file in a model's folder.
FILE = "training-images.bin"
_BYTES = 8
_NUMBER = np.dtype(">u8")


def encode(digests: Iterable[bytes], *others: bytes) -> bytes:
    """The list of these digests, 8 bytes or longer each, and of the lists ``others``."""
    numbers = [_numbers(digests), *(np.frombuffer(each, _NUMBER) for each in others)]
    return np.unique(np.concatenate(numbers)).astype(_NUMBER).tobytes()


def listed(data: bytes, digests: Sequence[bytes]) -> NDArray[np.bool_]:
    """For each digest whether it is in a list, bool (n,).

    Raises ModelError for bytes that are no list.
    """
    if len(data) % _BYTES:
        raise ModelError(f"{FILE}: {len(data)} bytes, no multiple of {_BYTES}")
    return np.isin(_numbers(digests), np.frombuffer(data, _NUMBER))


def _numbers(digests: Iterable[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(each[:_BYTES] for each in digests), _NUMBER)
