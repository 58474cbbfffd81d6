"""Counting the pages of strangers' files, in a process of its own.

Parsers of PDF and TIFF have had defects that a file can use. So a producer, which has credentials,
does not run them: it sends the file's bytes here and gets a number or an error. This process has no
credentials, opens no file for writing, and starts no other process; its parent kills it when a file
takes too long. Started as ``python -m inkmill.imagefile.apart DESCRIPTOR MEMORY``; it ends when its
parent does, or when it had nothing to do for a while.

It says `READY`. Then a request is the length of the file and the most pages that it may have, then
the file; an answer is the length of a JSON object, then that: ``{"pages": 3}``, or
``{"code": ..., "message": ...}``.
"""

from __future__ import annotations

import contextlib
import json
import resource
import select
import signal
import socket
import struct
import sys

from inkmill.codes import Code
from inkmill.confinement import filter_system_calls, gain_no_privileges, libseccomp
from inkmill.errors import ItemError
from inkmill.imagefile.sniff import Limits, count_pages

REQUEST = struct.Struct(">QI")
ANSWER = struct.Struct(">I")
#: What it says once it has started.
READY = b"!"
#: A process that had nothing to do for this long ends; the next file starts another.
IDLE_SECONDS = 30.0
#: It opens its modules and nothing else.
_OPEN_FILES = 64


def receive(connection: socket.socket, length: int) -> bytes:
    """Exactly ``length`` bytes. Raises EOFError if the connection ends before."""
    data = bytearray(length)
    view, held = memoryview(data), 0
    while held < length:
        count = connection.recv_into(view[held:])
        if not count:
            raise EOFError("the other side has gone")
        held += count
    return bytes(data)


def serve(connection: socket.socket) -> None:
    """Answer requests until none come for a while. Raises EOFError once the parent has gone."""
    connection.sendall(READY)
    while select.select([connection], [], [], IDLE_SECONDS)[0]:
        length, most = REQUEST.unpack(receive(connection, REQUEST.size))
        answer = json.dumps(_answer(receive(connection, length), most)).encode()
        connection.sendall(ANSWER.pack(len(answer)) + answer)


def _answer(data: bytes, most: int) -> dict[str, object]:
    try:
        return {"pages": count_pages(data, Limits(max_pages=most))}
    except ItemError as error:
        return {"code": error.code, "message": error.message}
    except MemoryError:
        message = "counting its pages needs more memory than is allowed: split the file"
        return {"code": Code.TOO_LARGE, "message": message}


def confine(memory: int) -> None:
    """Give up what this process does not need; ``memory`` is the most it may hold, in bytes."""
    import pypdfium2  # noqa: F401 - opened before files can no longer be

    libseccomp()  # found with the help of another program, which may not be started later
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, memory),
    ):
        hard = resource.getrlimit(limit)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (least, least))
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
    gain_no_privileges()
    filter_system_calls()


def main(arguments: list[str]) -> None:
    """Serve the parent at the other end of a descriptor, with at most so many bytes of memory."""
    # Ctrl-C is for the parent, which closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, memory = map(int, arguments)
    confine(memory)
    with contextlib.suppress(EOFError, ConnectionError):
        serve(socket.socket(fileno=descriptor))


if __name__ == "__main__":
    main(sys.argv[1:])
