"""Crops on their way from an engine to the predictor process of its device, and what it read.

Both go through the socket: a full batch is 0.8 MB, and passing that on takes a fraction of a
millisecond, while cutting it took an engine 50 or more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.worker.link.frames import BadFrame, Frame, Link, receive, send

#: Bytes of a request or an answer: some 20,000 crops of 28 x 28.
_MOST_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class CropRequest:
    """Crops, uint8 (n, size, size), to be read by a version, in the precision that a job is pinned
    to or in ANY_PRECISION."""

    version: str
    precision: str
    crops: NDArray[np.uint8]

    def send(self, link: Link) -> None:
        """Raises OSError when the other side has gone, or takes nothing for too long."""
        head = {"version": self.version, "precision": self.precision}
        _send(link, head, self.crops)

    @classmethod
    def receive(cls, link: Link) -> CropRequest:
        """Raises EOFError or OSError when the other side has gone, and BadFrame."""
        head, crops = _receive(link, np.dtype(np.uint8), 3)
        return cls(str(head.get("version")), str(head.get("precision")), crops)


@dataclass(frozen=True, slots=True)
class CropReadings:
    """Probabilities, float32 (n, classes), and the precision that they were computed in.

    That is "" if the process does not have the version: then there are none.
    """

    precision: str
    probabilities: NDArray[np.float32]

    def send(self, link: Link) -> None:
        """Raises OSError as `CropRequest.send` does."""
        _send(link, {"precision": self.precision}, self.probabilities)

    @classmethod
    def receive(cls, link: Link) -> CropReadings:
        """Raises EOFError, OSError and BadFrame as `CropRequest.receive` does."""
        head, probabilities = _receive(link, np.dtype(np.float32), 2)
        return cls(str(head.get("precision")), probabilities)


#: A process does not have the version, or not in that precision.
ABSENT = CropReadings("", np.empty((0, 0), np.float32))


def _send(link: Link, head: dict[str, Any], array: NDArray[Any]) -> None:
    send(link, Frame({**head, "shape": list(array.shape)}, [array.tobytes()]))


def _receive(link: Link, kind: np.dtype[Any], axes: int) -> tuple[dict[str, Any], NDArray[Any]]:
    frame = receive(link, _MOST_BYTES)
    head, shape = dict(frame.head), frame.head.get("shape")
    if not isinstance(shape, list) or len(shape) != axes or len(frame.parts) != 1:
        raise BadFrame("a frame that holds no array")
    sound = all(type(each) is int and each >= 0 for each in shape)
    if not sound or math.prod(shape) * kind.itemsize != len(frame.parts[0]):
        raise BadFrame("an array of another shape than is said")
    return head, np.frombuffer(frame.parts[0], kind).reshape(shape)
