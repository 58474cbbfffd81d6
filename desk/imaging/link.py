"""What the desk and its imaging processes say to each other: JSON and bytes, no pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

#: Neither side reads a longer message: a page's picture has some megabytes, a scan at most this.
MOST_BYTES = 512 * 2**20
#: Bytes of all blobs of a message, and how many these may be: the pages of a form and their blanks,
#: or the pictures of all fields of a page.
_MOST_TOTAL, _MOST_BLOBS = 2 * 2**30, 20_000


@dataclass(frozen=True, slots=True)
class Message:
    """Values as JSON, and bytes beside them that the values may name by number."""

    head: dict[str, Any]
    blobs: Sequence[bytes] = ()


def send(connection: Connection, message: Message) -> None:
    """Send a message. Raises OSError if the other side has gone."""
    head = {"blobs": len(message.blobs), "head": message.head}
    connection.send_bytes(json.dumps(head).encode())
    for blob in message.blobs:
        connection.send_bytes(blob)


def receive(connection: Connection) -> Message:
    """The next message. Raises EOFError or OSError if the other side has gone, ValueError for
    anything that is no message."""
    envelope = json.loads(connection.recv_bytes(MOST_BYTES))
    count, head = envelope["blobs"], envelope["head"]
    if not isinstance(count, int) or not 0 <= count <= _MOST_BLOBS or not isinstance(head, dict):
        raise ValueError("not a message")
    blobs, left = list[bytes](), _MOST_TOTAL
    for _ in range(count):
        blobs.append(connection.recv_bytes(min(left, MOST_BYTES)))
        left -= len(blobs[-1])
    return Message(head, blobs)
