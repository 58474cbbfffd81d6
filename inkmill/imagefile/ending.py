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
#: Tags of a TIFF: offsets and lengths of its strips, and of its tiles.
_STRIPS = (273, 279, 324, 325)
#: Types of their values: struct's letter and the size in bytes.
_SIZES = {3: ("H", 2), 4: ("I", 4)}


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
    """A TIFF's first directory and the last strip that it names are in the file.

    Many writers put the directory behind the pixels, others before them.
    """
    order = "<" if head[:2] == b"II" else ">"
    if head[2:4] in (b"+\0", b"\0+"):
        (first,) = struct.unpack_from(order + "Q", head, 8)
        return bool(0 < first < size)
    (first,) = struct.unpack_from(order + "I", head, 4)
    if not 0 < first < size:
        return False
    if first + 2 > len(head):
        return True
    last = [_last_of(head, order, first, tag) for tag in _STRIPS]
    starts, lengths = (next(filter(None, pair), None) for pair in (last[::2], last[1::2]))
    return starts is None or lengths is None or starts + lengths <= size


def _last_of(head: bytes, order: str, directory: int, wanted: int) -> int | None:
    """The last value of a tag of a directory; None if it has no such tag, or it is further on."""
    (count,) = struct.unpack_from(order + "H", head, directory)
    for number in range(count):
        entry = directory + 2 + 12 * number
        if entry + 12 > len(head):
            break
        tag, kind, values = struct.unpack_from(order + "HHI", head, entry)
        if tag == wanted and kind in _SIZES and values:
            letter, width = _SIZES[kind]
            place = entry + 8
            if values * width > 4:
                (place,) = struct.unpack_from(order + "I", head, place)
            place += (values - 1) * width
            if place + width > len(head):
                break
            (value,) = struct.unpack_from(order + letter, head, place)
            return int(value)
    return None


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
