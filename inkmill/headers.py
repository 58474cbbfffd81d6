"""Headers of image files: size, depth, pages and wholeness, format by format, without decoding.

`inkmill.images` is the way in; another image format is added here, to `READERS`.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from inkmill.codes import Code
from inkmill.errors import ItemError

#: pdfium allows one call at a time in a process, from whichever thread.
PDFIUM_LOCK = threading.Lock()

_POINTS_PER_INCH = 72.0
#: Resolution at which a PDF page is rendered: what scanners for forms are set to.
PDF_DPI = 300.0


class Kind(StrEnum):
    """The kinds of file that are read."""

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
    """What a file's header says of one page.

    ``depth`` is bits a channel, ``channels`` counts alpha; ``dpi`` is a hint that scanners and
    programs often get wrong. ``plain`` marks the case that needs no care: 8 bits, grey or
    colour, no palette, no transparency; ``exif`` that the file may say how to turn it.
    """

    kind: Kind
    width: int
    height: int
    channels: int = 1
    depth: int = 8
    plain: bool = True
    dpi: float | None = None
    exif: bool = False


def truncated(kind: Kind) -> ItemError:
    return ItemError(Code.TRUNCATED, f"the {kind} is cut short or damaged: copy or scan it again")


# --- PNG -------------------------------------------------------------------------------------

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def _read_png(data: bytes, _page: int, _limits: Limits) -> Header:
    """Walks every chunk and checks its CRC, which for a small image takes 3 microseconds."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR" or colour not in _PNG_CHANNELS:
        raise truncated(Kind.PNG)
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
            raise truncated(Kind.PNG)
        if name == b"IEND":
            whole = True
            break
        if name == b"acTL":
            raise _animated(Kind.PNG)
        if name == b"tRNS":
            plain = False
        elif name == b"eXIf":
            plain, exif = False, True
        elif name == b"pHYs" and length == 9:
            across, _, unit = struct.unpack_from(">IIB", data, position + 8)
            dpi = across * 0.0254 if unit == 1 and across else None
        position = end + 4
    if not whole:
        raise truncated(Kind.PNG)
    return Header(Kind.PNG, width, height, _PNG_CHANNELS[colour], depth, plain, dpi, exif)


def _animated(kind: Kind) -> ItemError:
    return ItemError(
        Code.UNSUPPORTED, f"this {kind} is an animation: save the frame you mean as a still"
    )


# --- JPEG ------------------------------------------------------------------------------------

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}


def _read_jpeg(data: bytes, _page: int, _limits: Limits) -> Header:
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
            raise truncated(Kind.JPEG)
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
        raise truncated(Kind.JPEG)
    depth, height, width, channels = frame
    if depth != 8:
        raise ItemError(Code.UNSUPPORTED, f"a JPEG of {depth} bits is not read: save it as PNG")
    return Header(Kind.JPEG, width, height, channels, depth, channels != 4, dpi)


def _jfif_dpi(body: bytes) -> float | None:
    unit, across = struct.unpack_from(">BH", body, 7)
    if across < 2:
        return None
    return {1: float(across), 2: across * 2.54}.get(unit)


# --- WebP ------------------------------------------------------------------------------------


def _read_webp(data: bytes, _page: int, _limits: Limits) -> Header:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data):
        raise truncated(Kind.WEBP)
    name = data[12:16]
    if name == b"VP8X":
        flags = data[20]
        if flags & 0x02:
            raise _animated(Kind.WEBP)
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        alpha = bool(flags & 0x10)
        plain, exif = not flags & 0x18, bool(flags & 0x08)
        return Header(Kind.WEBP, width, height, 4 if alpha else 3, 8, plain, None, exif)
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        alpha = bool(bits >> 28 & 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return Header(Kind.WEBP, width, height, 4 if alpha else 3, 8, not alpha)
    if name != b"VP8 " or data[23:26] != b"\x9d\x01\x2a":
        raise truncated(Kind.WEBP)
    width, height = struct.unpack_from("<HH", data, 26)
    return Header(Kind.WEBP, width & 0x3FFF, height & 0x3FFF, 3)


# --- TIFF ------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_STRIPS, _ORIENTATION, _SAMPLES, _STRIP_BYTES = 273, 274, 277, 279
_X_RESOLUTION, _RESOLUTION_UNIT, _TILES, _TILE_BYTES, _EXTRA = 282, 296, 324, 325, 338
_WANTED = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIPS, _ORIENTATION, _SAMPLES, _STRIP_BYTES}
    | {_X_RESOLUTION, _RESOLUTION_UNIT, _TILES, _TILE_BYTES, _EXTRA}
)
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 16: "Q"}


def tiff_directories(data: bytes, limits: Limits) -> Iterator[dict[int, tuple[int, ...]]]:
    """The wanted tags of each page of a TIFF (or BigTIFF), in order, by walking the chain.

    Raises ItemError TRUNCATED where the chain leaves the file or bites its tail, TOO_LARGE when
    it is longer than ``limits.max_pages``.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    offset_format = order + ("Q" if big else "I")
    seen: set[int] = set()
    try:
        (offset,) = struct.unpack_from(offset_format, data, 8 if big else 4)
        while offset:
            if offset in seen or not 0 < offset < len(data):
                raise truncated(Kind.TIFF)
            seen.add(offset)
            if len(seen) > limits.max_pages:
                raise ItemError(
                    Code.TOO_LARGE, f"more than {limits.max_pages} pages: split the file"
                )
            tags, end = _tiff_directory(data, offset, order, big)
            yield tags
            (offset,) = struct.unpack_from(offset_format, data, end)
    except struct.error as error:
        raise truncated(Kind.TIFF) from error
    if not seen:
        raise truncated(Kind.TIFF)


def _tiff_directory(
    data: bytes, offset: int, order: str, big: bool
) -> tuple[dict[int, tuple[int, ...]], int]:
    """One directory's wanted tags, and the position of the link to the next."""
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
    offset += 8 if big else 2
    size, inline = (20, 8) if big else (12, 4)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(offset, offset + min(entries, 4096) * size, size):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag not in _WANTED or kind not in _TIFF_TYPES:
            continue
        (count,) = struct.unpack_from(order + ("Q" if big else "I"), data, entry + 4)
        value_format = _TIFF_TYPES[kind]
        if count * len(value_format) > len(data):
            raise truncated(Kind.TIFF)
        layout = struct.Struct(order + value_format * count)
        where = entry + (12 if big else 8)
        if layout.size > inline:
            (where,) = struct.unpack_from(order + ("Q" if big else "I"), data, where)
        tags[tag] = layout.unpack_from(data, where)
    return tags, offset + entries * size


def _read_tiff(data: bytes, page: int, limits: Limits) -> Header:
    tags = next(islice(tiff_directories(data, limits), page - 1, page), None)
    if tags is None:
        raise ItemError(Code.MISSING, f"there is no page {page} in the TIFF")
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise truncated(Kind.TIFF)
    offsets = tags.get(_STRIPS) or tags.get(_TILES) or ()
    sizes = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES) or ()
    if not offsets or any(
        start + size > len(data) for start, size in zip(offsets, sizes, strict=False)
    ):
        raise truncated(Kind.TIFF)
    samples = tags.get(_SAMPLES, (1,))[0]
    depth = max(tags.get(_BITS, (1,)))
    return Header(
        Kind.TIFF,
        tags[_WIDTH][0],
        tags[_HEIGHT][0],
        samples,
        depth,
        depth in (1, 8) and samples in (1, 3) and tags.get(_PHOTOMETRIC, (1,))[0] in (0, 1, 2),
        _tiff_dpi(tags),
    )


def _tiff_dpi(tags: dict[int, tuple[int, ...]]) -> float | None:
    above, below = (*tags.get(_X_RESOLUTION, ()), 0, 0)[:2]
    if not above or not below:
        return None
    unit = tags.get(_RESOLUTION_UNIT, (2,))[0]
    return {2: above / below, 3: 2.54 * above / below}.get(unit)


# --- PDF -------------------------------------------------------------------------------------


def count_pdf(data: bytes) -> int:
    import pypdfium2

    with PDFIUM_LOCK:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise _pdf_refused(error) from error
        try:
            return len(document)
        finally:
            document.close()


def _pdf_refused(error: Exception) -> ItemError:
    if "password" in str(error).lower():
        return ItemError(Code.UNSUPPORTED, "the PDF asks for a password: save a copy without one")
    return truncated(Kind.PDF)


def _read_pdf(data: bytes, page: int, _limits: Limits) -> Header:
    """The page's size in pixels at `PDF_DPI`; what the page shows is not looked at."""
    import pypdfium2

    if b"%%EOF" not in data[-4096:]:
        raise truncated(Kind.PDF)
    with PDFIUM_LOCK:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise _pdf_refused(error) from error
        try:
            if not 1 <= page <= len(document):
                raise ItemError(
                    Code.MISSING, f"there is no page {page}: the PDF holds {len(document)}"
                )
            width, height = document.get_page_size(page - 1)
        except pypdfium2.PdfiumError as error:
            raise truncated(Kind.PDF) from error
        finally:
            document.close()
    scale = PDF_DPI / _POINTS_PER_INCH
    return Header(Kind.PDF, round(width * scale), round(height * scale), 1, 8, True, PDF_DPI)


READERS: dict[Kind, Callable[[bytes, int, Limits], Header]] = {
    Kind.PNG: _read_png,
    Kind.JPEG: _read_jpeg,
    Kind.WEBP: _read_webp,
    Kind.TIFF: _read_tiff,
    Kind.PDF: _read_pdf,
}
