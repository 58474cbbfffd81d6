"""Where a worker hands over connections to processes that open none by themselves.

An engine asks for a connection to the predictor process of its device, and gets the end of a socket
pair whose other end that process gets. So each of them sees when the other has gone, and a process
that was started again gets new connections.
"""

from __future__ import annotations

import contextlib
import select
import socket

from inkmill.worker.link.frames import Link

_HERE, _ASKED = b"c", b"?"
#: Knocks that are read at once: more than any process leaves unanswered.
_MANY = 64


class Door:
    """One end of a socket pair; the worker holds one, the other process the other."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(True)
        self._end = end

    @classmethod
    def pair(cls) -> tuple[Door, Door]:
        """The worker's end, and that of the other process."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    @property
    def descriptor(self) -> int:
        """For the start of the other process."""
        return self._end.fileno()

    def hand_over(self, connection: socket.socket) -> None:
        """Give the other side this end of a connection; the caller's copy is closed.

        One whose process has gone, or that has not looked for long, does without.
        """
        with connection, contextlib.suppress(OSError):
            socket.send_fds(self._end, [_HERE], [connection.fileno()], socket.MSG_DONTWAIT)

    def was_asked(self) -> bool:
        """Whether the other side asked for a connection since the last call. Does not wait."""
        try:
            return bool(self._end.recv(_MANY, socket.MSG_DONTWAIT))
        except OSError:
            return False

    def ask(self) -> None:
        """Ask for a connection; it comes when there is one."""
        with contextlib.suppress(OSError):
            self._end.send(_ASKED, socket.MSG_DONTWAIT)

    def take(self, *, wait: bool) -> Link | None:
        """A connection that was handed over; None if there is none now.

        Raises EOFError when the worker has gone.
        """
        if not wait and not select.select([self._end], [], [], 0.0)[0]:
            return None
        # One at a time: a descriptor belongs to its byte.
        said, descriptors, _, _ = socket.recv_fds(self._end, 1, 1)
        if not said:
            raise EOFError
        return Link(socket.socket(fileno=descriptors[0])) if descriptors else None

    def close(self) -> None:
        self._end.close()
