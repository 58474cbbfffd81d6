"""The bytes between a worker and its engines: a JSON header and binary parts, never pickle.

An engine decodes strangers' files, so nothing that it sends is executed: a frame is data.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

_LENGTH = struct.Struct("<I")
#: Seconds and microseconds, as the options of sockets take them.
_TIMEVAL = struct.Struct("ll")


class BadFrame(Exception):
    """The other side says something that is no frame, or no answer."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: a header that JSON can hold, and binary parts."""

    head: Mapping[str, Any]
    parts: Sequence[bytes] = field(default_factory=tuple)


class Link(Connection):
    """One end of a connection between a worker and an engine, without a timeout unless `limit` sets
    one.

    While Celery drains, it gives every new socket of the process a timeout
    (``socket.setdefaulttimeout``). A timeout makes the descriptor non-blocking for all who share
    it, and an engine would seem to have gone. So the timeout is removed before anything is sent,
    and no other socket is made from the descriptor later.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)
        super().__init__(os.dup(end.fileno()))
        self._end = end

    def close(self) -> None:
        self._end.close()
        super().close()

    def limit(self, seconds: float) -> None:
        """From now on, sending and receiving raise OSError when nothing moves for so long.

        By the kernel, which leaves the descriptor blocking. Raises OSError.
        """
        time = _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6))
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            self._end.setsockopt(socket.SOL_SOCKET, option, time)

    def read(self, count: int) -> bytes:
        """Read ``count`` bytes into one piece of memory, usually with one system call.

        ``recv_bytes`` collects megabytes in small reads, each into new memory: for a chunk of pages
        that took four times the processor time and twice the wait. Raises EOFError.
        """
        pieces: list[bytes] = []
        while count:
            # A signal may end the wait early.
            piece = self._end.recv(count, socket.MSG_WAITALL)
            if not piece:
                raise EOFError
            pieces.append(piece)
            count -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def send(connection: Link, frame: Frame) -> None:
    """Write a frame: a length, the header with each part's length, then the parts.

    Raises OSError when the other side has gone.
    """
    head = json.dumps({**frame.head, "parts": [len(part) for part in frame.parts]}).encode()
    connection.send_bytes(_LENGTH.pack(len(head)) + head)
    for part in frame.parts:
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(connection.fileno(), rest) :]


def receive(connection: Link, most: int | None = None) -> Frame:
    """Read a frame of at most ``most`` bytes.

    Raises EOFError or OSError when the other side has gone, or sends a longer one, and BadFrame for
    anything that is no frame, before memory is taken for it.
    """
    data = connection.recv_bytes(most)
    try:
        (length,) = _LENGTH.unpack_from(data)
        head = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        counts = head.pop("parts")
        sound = all(type(each) is int and each >= 0 for each in counts)
        fits = sound and (most is None or sum(counts) <= most)
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadFrame(f"{type(error).__name__} in a header of {len(data)} bytes") from error
    if not fits:
        raise BadFrame(f"a frame whose parts are no sizes, or larger than {most} bytes")
    return Frame(head, [connection.read(count) for count in counts])
