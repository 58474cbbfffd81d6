"""What the desk and its imaging processes say to each other: JSON and bytes, no pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

#: Neither side reads a longer message: a page's picture has some megabytes, a scan at most this.
MOST_BYTES = 512 * 2**20
#: Blobs of one message: the pages of a form and their blanks.
_MOST_BLOBS = 200


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
    return Message(head, [connection.recv_bytes(MOST_BYTES) for _ in range(count)])
