"""Headers of image files: size, depth, pages and wholeness, format by format, without decoding.

`inkmill.imagefile.sniff` is the way in, and lists the readers of all formats.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum

from inkmill.codes import Code
from inkmill.errors import ItemError


class FileType(StrEnum):
    """The supported file types."""

    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    WEBP = "WebP"
    PDF = "PDF"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one image may hold; checked on the header, before anything is decoded.

    The default of 120 million pixels is more than an A2 page at 400 dpi.
    """

    max_pixels: int = 120_000_000
    max_pages: int = 2_000


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says about one page.

    ``depth`` is bits a channel, ``channels`` counts alpha; ``dpi`` is a hint that scanners and
    programs often get wrong. ``plain`` marks the case that needs no care: 8 bits, grey or
    colour, no palette, no transparency; ``exif`` that the file may say how to turn it.
    """

    kind: FileType
    width: int
    height: int
    channels: int = 1
    depth: int = 8
    plain: bool = True
    dpi: float | None = None
    exif: bool = False


def truncated(kind: FileType) -> ItemError:
    return ItemError(Code.TRUNCATED, f"the {kind} is cut short or damaged: copy or scan it again")


# --- PNG -------------------------------------------------------------------------------------

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def read_png(data: bytes, _page: int, _limits: Limits) -> Header:
    """Walks every chunk and checks its CRC, which for a small image takes 3 microseconds."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR" or colour not in _PNG_CHANNELS:
        raise truncated(FileType.PNG)
    plain, exif, dpi = depth == 8 and colour in (0, 2), False, None
    position, whole = 8, False
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        name = data[position + 4 : position + 8]
        end = position + 8 + length
        if (
            end + 4 > len(data)
            or zlib.crc32(memoryview(data)[position + 4 : end])
            != struct.unpack_from(">I", data, end)[0]
        ):
            raise truncated(FileType.PNG)
        if name == b"IEND":
            whole = True
            break
        if name == b"acTL":
            raise _animated(FileType.PNG)
        if name == b"tRNS":
            plain = False
        elif name == b"eXIf":
            plain, exif = False, True
        elif name == b"pHYs" and length == 9:
            across, _, unit = struct.unpack_from(">IIB", data, position + 8)
            dpi = across * 0.0254 if unit == 1 and across else None
        position = end + 4
    if not whole:
        raise truncated(FileType.PNG)
    return Header(FileType.PNG, width, height, _PNG_CHANNELS[colour], depth, plain, dpi, exif)


def _animated(kind: FileType) -> ItemError:
    return ItemError(
        Code.UNSUPPORTED, f"this {kind} is an animation: save the frame you mean as a still"
    )


# --- JPEG ------------------------------------------------------------------------------------

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}


def read_jpeg(data: bytes, _page: int, _limits: Limits) -> Header:
    frame, dpi, position = None, None, 2
    while True:
        while data[position] != 0xFF:
            position += 1
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        position += 1
        if marker in _JPEG_BARE:
            continue
        if marker == 0xD9:
            raise truncated(FileType.JPEG)
        (length,) = struct.unpack_from(">H", data, position)
        body = data[position + 2 : position + length]
        if marker in _JPEG_FRAMES:
            frame = struct.unpack_from(">BHHB", body)
        elif marker == 0xE0 and body.startswith(b"JFIF\0"):
            dpi = _jfif_dpi(body)
        elif marker == 0xDA:
            break
        position += length
    # Bytes FF D9 cannot occur within the coded picture: their absence means a lost end.
    if frame is None or data.find(b"\xff\xd9", position) < 0:
        raise truncated(FileType.JPEG)
    depth, height, width, channels = frame
    if depth != 8:
        raise ItemError(Code.UNSUPPORTED, f"a {depth}-bit JPEG is not supported: save it as PNG")
    return Header(FileType.JPEG, width, height, channels, depth, channels != 4, dpi)


def _jfif_dpi(body: bytes) -> float | None:
    unit, across = struct.unpack_from(">BH", body, 7)
    if across < 2:
        return None
    return {1: float(across), 2: across * 2.54}.get(unit)


# --- WebP ------------------------------------------------------------------------------------


def read_webp(data: bytes, _page: int, _limits: Limits) -> Header:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise truncated(FileType.WEBP)
    name = data[12:16]
    if name == b"VP8X":
        flags = data[20]
        if flags & 0x02:
            raise _animated(FileType.WEBP)
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        alpha = bool(flags & 0x10)
        plain, exif = not flags & 0x18, bool(flags & 0x08)
        return Header(FileType.WEBP, width, height, 4 if alpha else 3, 8, plain, None, exif)
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        alpha = bool(bits >> 28 & 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return Header(FileType.WEBP, width, height, 4 if alpha else 3, 8, not alpha)
    if name != b"VP8 " or data[23:26] != b"\x9d\x01\x2a":
        raise truncated(FileType.WEBP)
    width, height = struct.unpack_from("<HH", data, 26)
    return Header(FileType.WEBP, width & 0x3FFF, height & 0x3FFF, 3)
