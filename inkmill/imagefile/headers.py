"""Headers of image files: size, depth, pages and wholeness, format by format, without decoding.

`inkmill.imagefile.sniff` is the way in, and lists the readers of all formats.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from zlib import crc32

from inkmill.codes import Code
from inkmill.errors import ItemError


class FileType(StrEnum):
    """The supported file types."""

    PNG = "PNG"
    JPEG = "JPEG"
    TIFF = "TIFF"
    WEBP = "WebP"
    BMP = "BMP"
    GIF = "GIF"
    PDF = "PDF"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one image may hold; checked on the header, before anything is decoded.

    The default of 120 million pixels is more than an A2 page at 400 dpi.
    """

    max_pixels: int = 120_000_000
    max_pages: int = 2_000


class Header(NamedTuple):
    """What a file's header says about one page.

    A tuple, since a frozen dataclass takes a microsecond longer to make, for each digit image.

    ``depth`` is bits a channel, ``channels`` counts alpha; ``dpi`` is a hint that scanners and
    programs often get wrong. ``plain`` marks the case that needs no care: 8 bits, grey or
    colour, no palette, no transparency; ``exif`` that the file may say how to turn it; ``frame``
    is the number of the picture among all that the file holds, from 0; ``aspect`` is a pixel's
    height divided by its width.
    """

    kind: FileType
    width: int
    height: int
    channels: int = 1
    depth: int = 8
    plain: bool = True
    dpi: float | None = None
    exif: bool = False
    frame: int = 0
    aspect: float = 1.0


#: Resolutions below this are no resolutions, and pixels that are longer than this no pixels: fax
#: machines make pixels of 1 to 1.04, 2.08 or 2.
_LEAST_DPI, _LONGEST_PIXEL = 36.0, 3.0


def resolution(across: float, down: float) -> tuple[float | None, float]:
    """The finer one of two resolutions, None if there is none, and a pixel's aspect."""
    if not across:
        return None, 1.0
    if min(across, down) < _LEAST_DPI:
        return across, 1.0
    aspect = across / down
    return max(across, down), aspect if 1 / _LONGEST_PIXEL < aspect < _LONGEST_PIXEL else 1.0


_NO_RESOLUTION = resolution(0, 0)


def truncated(kind: FileType) -> ItemError:
    return ItemError(Code.TRUNCATED, f"the {kind} is cut short or damaged: copy or scan it again")


# --- PNG -------------------------------------------------------------------------------------

_PNG_HEAD, _PNG_CHUNK = struct.Struct(">IIBB"), struct.Struct(">I4s")
_UINT = struct.Struct(">I")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def read_png(data: bytes, _page: int, _limits: Limits) -> Header:
    """Walks every chunk and checks its CRC, which for a small image takes 2 microseconds."""
    width, height, depth, colour = _PNG_HEAD.unpack_from(data, 16)
    if data[12:16] != b"IHDR" or colour not in _PNG_CHANNELS:
        raise truncated(FileType.PNG)
    plain, exif, dpi = depth == 8 and colour in (0, 2), False, _NO_RESOLUTION
    view, size, position, whole = memoryview(data), len(data), 8, False
    while position + 12 <= size:
        length, name = _PNG_CHUNK.unpack_from(data, position)
        end = position + 8 + length
        if end + 4 > size or crc32(view[position + 4 : end]) != _UINT.unpack_from(data, end)[0]:
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
            across, down, unit = struct.unpack_from(">IIB", data, position + 8)
            dpi = resolution(across * 0.0254, down * 0.0254) if unit == 1 else dpi
        position = end + 4
    if not whole:
        raise truncated(FileType.PNG)
    channels = _PNG_CHANNELS[colour]
    return Header(
        FileType.PNG, width, height, channels, depth, plain, dpi[0], exif=exif, aspect=dpi[1]
    )


def _animated(kind: FileType) -> ItemError:
    return ItemError(
        Code.UNSUPPORTED, f"this {kind} is an animation: save the frame you mean as a still"
    )


# --- JPEG ------------------------------------------------------------------------------------

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}


def read_jpeg(data: bytes, _page: int, _limits: Limits) -> Header:
    frame, dpi, position = None, resolution(0, 0), 2
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
    if frame is None or data.rfind(b"\xff\xd9", position) < 0:
        raise truncated(FileType.JPEG)
    depth, height, width, channels = frame
    if depth != 8:
        raise ItemError(Code.UNSUPPORTED, f"a {depth}-bit JPEG is not supported: save it as PNG")
    return Header(
        FileType.JPEG, width, height, channels, depth, channels != 4, dpi[0], aspect=dpi[1]
    )


def _jfif_dpi(body: bytes) -> tuple[float | None, float]:
    unit, across, down = struct.unpack_from(">BHH", body, 7)
    inches = {1: 1.0, 2: 2.54}.get(unit)
    if across < 2 or inches is None:
        return None, 1.0
    return resolution(across * inches, down * inches)


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


# --- BMP and GIF -----------------------------------------------------------------------------


def read_bmp(data: bytes, _page: int, _limits: Limits) -> Header:
    (start,) = struct.unpack_from("<I", data, 10)
    (size,) = struct.unpack_from("<I", data, 14)
    compression = 0
    if size == 12:  # OS/2
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    width, height = abs(width), abs(height)
    if compression in (0, 3) and start + (width * depth + 31) // 32 * 4 * height > len(data):
        raise truncated(FileType.BMP)
    return Header(FileType.BMP, width, height, 3, min(depth, 8), plain=False)


def read_gif(data: bytes, _page: int, _limits: Limits) -> Header:
    """Walks the blocks: one picture, and the end mark after it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, pictures = 13 + _colours(flags), 0
    while data[position] != 0x3B:
        if data[position] == 0x2C:
            pictures += 1
            if pictures > 1:
                raise _animated(FileType.GIF)
            position += 11 + _colours(data[position + 9])
        elif data[position] == 0x21:
            position += 2
        else:
            raise truncated(FileType.GIF)
        while length := data[position]:
            position += 1 + length
        position += 1
    if not pictures:
        raise truncated(FileType.GIF)
    return Header(FileType.GIF, width, height, 3, 8, plain=False)


def _colours(flags: int) -> int:
    """Bytes of the table of colours that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
