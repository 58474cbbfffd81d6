"""The bytes between a worker and its engines: a JSON header and binary parts, never pickle.

An engine decodes what strangers scanned, so nothing that it says is executed: a frame is data.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: what it is about, and the binary parts that belong to it."""

    head: Mapping[str, Any]
    parts: Sequence[bytes] = field(default_factory=tuple)


def send(connection: Connection, frame: Frame) -> None:
    """Write a frame: a length and the header in one message, then each part in its own.

    Raises OSError when the other side has gone.
    """
    head = json.dumps({**frame.head, "parts": len(frame.parts)}).encode()
    connection.send_bytes(_LENGTH.pack(len(head)) + head)
    for part in frame.parts:
        connection.send_bytes(part)


def receive(connection: Connection) -> Frame:
    """Read a frame. Raises EOFError or OSError when the other side has gone."""
    data = connection.recv_bytes()
    (length,) = _LENGTH.unpack_from(data)
    head = json.loads(data[_LENGTH.size : _LENGTH.size + length])
    parts = [connection.recv_bytes() for _ in range(head.pop("parts"))]
    return Frame(head, parts)
