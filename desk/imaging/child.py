"""The imaging process: decodes strangers' files and looks at their pixels, for the desk.

It has no credentials and no settings, writes no file, starts no other process, and ends when its
parent does or when it had nothing to do for a while. Started as
``python -m inkmill.desk.imaging.child DESCRIPTOR MEMORY``.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from inkmill.codes import Code
from inkmill.desk.imaging.link import Message, receive, send
from inkmill.errors import ItemError, UsageError
from inkmill.imagefile.apart import confine

#: A process that had nothing to do for this long ends; the next request starts another.
IDLE_SECONDS = 300.0
_TOO_LARGE = "the picture needs more memory than is allowed: scan it at a lower resolution"

Task = Callable[[Message], Message]


def tasks() -> dict[str, Task]:
    """What this process can be asked for, by name."""
    from inkmill.desk.imaging import cutting, opening, printed, scans, snapping

    return {
        "count": opening.count,
        "pages": opening.pages,
        "draw": opening.draw,
        "snap": snapping.snap,
        "rows": snapping.rows,
        "mark": printed.mark,
        "code": printed.code,
        "scan": scans.scan,
        "locate": scans.locate_form,
        "remarks": scans.remarks_on,
        "cut": cutting.cut,
        "corners": cutting.by_corners,
    }


def serve(connection: Connection, known: dict[str, Task]) -> None:
    """Answer requests until none come for a while. Raises EOFError once the parent has gone."""
    while connection.poll(IDLE_SECONDS):
        request = receive(connection)
        send(connection, _answer(known[request.head["task"]], request))


def _answer(task: Task, request: Message) -> Message:
    import cv2

    try:
        return task(request)
    except ItemError as error:
        return _refusal(message=error.message, code=str(error.code))
    except UsageError as error:
        return _refusal(message=str(error), usage=True)
    except MemoryError:
        return _refusal(message=_TOO_LARGE, code=str(Code.TOO_LARGE))
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        return _refusal(message=_TOO_LARGE, code=str(Code.TOO_LARGE))


def _refusal(**fault: object) -> Message:
    return Message({"error": fault})


def main(arguments: list[str]) -> None:
    """Serve the parent at the other end of a descriptor, with at most so many bytes of memory."""
    # Ctrl-C is for the parent, which closes the connection.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, memory = map(int, arguments)
    known = tasks()
    import cv2

    cv2.setNumThreads(1)
    confine(memory)
    with contextlib.suppress(EOFError, ConnectionError):
        serve(Connection(descriptor), known)


if __name__ == "__main__":
    main(sys.argv[1:])
