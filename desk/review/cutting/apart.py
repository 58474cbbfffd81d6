"""The process that decodes strangers' pages for the desk: it has no credentials.

Started as ``python -m inkmill.desk.review.cutting.apart DESCRIPTOR MEMORY`` by `cutter`. A request
is one line of JSON that says what is wanted, with the length of the file, then the file; an answer
is one line of JSON with the lengths of the pictures, or with a code and a message, then the
pictures.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
from functools import lru_cache
from typing import Any, BinaryIO

from inkmill.errors import InkmillError, ItemError
from inkmill.imagefile.apart import READY, confine


def serve(stream: BinaryIO) -> None:
    """Answer requests until the parent has gone."""
    stream.write(READY)
    stream.flush()
    while line := stream.readline():
        wanted = json.loads(line)
        about, pictures = _answer(stream.read(wanted["length"]), wanted)
        stream.write(json.dumps(about).encode() + b"\n")
        for each in pictures:
            stream.write(each)
        stream.flush()


def _answer(data: bytes, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    try:
        return (_by_corners if "corners" in wanted else _cut)(data, wanted)
    except ItemError as error:
        return {"code": str(error.code), "message": error.message}, []
    except (MemoryError, InkmillError) as error:
        return {"code": "CRASHED", "message": str(error) or "it needs too much memory"}, []


def _cut(data: bytes, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    from inkmill.forms.cut.enlarged import View, enlarged

    views = [View(**{**each, "transform": tuple(each["transform"])}) for each in wanted["views"]]
    form = _form(wanted["form"]) if wanted["form"] else None
    pictures = enlarged(data, wanted["page"], form, views, _limits(wanted))
    return {"lengths": [len(each) for each in pictures]}, pictures


def _by_corners(data: bytes, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    from inkmill.forms.cut.enlarged import by_corners

    corners = [(float(x), float(y)) for x, y in wanted["corners"]]
    form, number = _form(wanted["form"]), wanted["number"]
    points, found = by_corners(data, wanted["page"], form, number, corners, _limits(wanted))
    names, pictures = [name for name, _ in found], [picture for _, picture in found]
    lengths = [len(each) for each in pictures]
    return {"names": names, "corners": points, "lengths": lengths}, pictures


def _limits(wanted: dict[str, Any]) -> Any:
    from inkmill.imagefile.sniff import Limits

    return Limits(wanted["pixels"], wanted["pages"])


@lru_cache(maxsize=16)
def _form(text: str) -> Any:
    from inkmill.template.form import Form

    return Form.parse(text, "the template of a job")


def main(arguments: list[str]) -> None:
    """Serve the parent at the other end of a descriptor, with at most so many bytes of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, memory = map(int, arguments)
    import cv2

    import inkmill.forms.cut.enlarged  # noqa: F401 - opened before files can no longer be

    cv2.setNumThreads(1)
    confine(memory)
    with (
        contextlib.suppress(EOFError, ConnectionError, BrokenPipeError),
        socket.socket(fileno=descriptor) as connection,
        connection.makefile("rwb") as stream,
    ):
        serve(stream)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1:])
