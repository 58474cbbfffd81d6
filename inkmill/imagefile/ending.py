"""Whether a file has its end: one that is still being copied, or was cut off, has not.

By the last bytes of each format, without decoding. A file of which this cannot be told counts as
whole.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from inkmill.imagefile.headers import FileType
from inkmill.imagefile.sniff import sniff

#: Bytes at the end that are looked at: other bytes may follow a file's end, as after a PDF.
TAIL_BYTES = 8192
_PNG_END = b"IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
_PDF_END = b"%%EOF"
_GIF_END = b";"


def is_whole(head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins and ends so has its end.

    ``head`` are its first `sniff.HEAD_BYTES`, ``tail`` its last `TAIL_BYTES`. An empty file is not
    whole: copying has just begun.
    """
    if not size:
        return False
    kind = sniff(head)
    ends = _ENDS.get(kind) if kind is not None else None
    try:
        return ends is None or ends(head, tail, size)
    except struct.error:
        return False


def _tiff(head: bytes, _tail: bytes, size: int) -> bool:
    """A TIFF's first directory, which many writers put behind the pixels, begins in the file."""
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    (first,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    return bool(0 < first < size)


def _bmp(head: bytes, _tail: bytes, size: int) -> bool:
    (said,) = struct.unpack_from("<I", head, 2)
    return bool(said <= size)


def _webp(head: bytes, _tail: bytes, size: int) -> bool:
    (said,) = struct.unpack_from("<I", head, 4)
    return bool(said + 8 <= size)


_ENDS: dict[FileType, Callable[[bytes, bytes, int], bool]] = {
    FileType.PNG: lambda _head, tail, _size: _PNG_END in tail,
    FileType.JPEG: lambda _head, tail, _size: _JPEG_END in tail,
    FileType.PDF: lambda _head, tail, _size: _PDF_END in tail,
    FileType.GIF: lambda _head, tail, _size: tail.rstrip(b"\0").endswith(_GIF_END),
    FileType.TIFF: _tiff,
    FileType.BMP: _bmp,
    FileType.WEBP: _webp,
}
