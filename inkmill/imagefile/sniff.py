"""The type, size and page count of a file, from its header alone.

Everything here reads bytes and no pixels, so a producer can use it without OpenCV, and a
worker can refuse a file before a decoder allocates memory for it. Pillow is not needed;
pypdfium2 is loaded only to count the pages of a PDF.

The type is detected from the first bytes, not from the extension. An animation (APNG, animated
WebP) is refused: it is not a scan, and none of its frames is the right one to read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.headers import (
    FileType,
    Header,
    Limits,
    read_bmp,
    read_gif,
    read_jpeg,
    read_png,
    read_webp,
    truncated,
)
from inkmill.imagefile.pdf import PDF_STARTS_WITHIN, count_pdf, read_pdf
from inkmill.imagefile.tiff import read_tiff, tiff_pages

__all__ = [
    "HEAD_BYTES",
    "FileType",
    "Header",
    "Limits",
    "count_pages",
    "read_header",
    "refused",
    "require_kind",
    "sniff",
]

#: How many bytes `sniff` wants at most.
HEAD_BYTES = PDF_STARTS_WITHIN

_PDF_VERSION = re.compile(rb"%PDF-[12]\.\d")

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
#: Formats that are known and refused, each with its signature: (offset, bytes, name).
_REFUSED = (
    *((4, b"ftyp" + brand, "a HEIC photo") for brand in _HEIC),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftyp", "a video"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (0, b"AT&TFORM", "a DjVu"),
    (0, b"PK\x03\x04", "a ZIP archive or office document"),
    (0, b"\x97JB2", "a JBIG2"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"II\xbc", "a JPEG XR"),
)


#: What to do about some of them.
_REMEDIES = {
    "a HEIC photo": "save it as JPEG; iPhones take JPEG with Settings, Camera, Formats, Most "
    "Compatible",
    "a ZIP archive or office document": "unpack the archive, or save the document as PDF",
}


def sniff(head: bytes) -> FileType | None:
    """The kind of a file that begins with ``head``, `HEAD_BYTES` at most; None when not read.

    >>> sniff(b"%PDF-1.7") is FileType.PDF
    True
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return FileType.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return FileType.JPEG
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return FileType.TIFF
    if head.startswith((b"GIF87a", b"GIF89a")):
        return FileType.GIF
    # A text may begin with these two letters: the bytes kept free are part of the signature.
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return FileType.BMP
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return FileType.WEBP
    if head.startswith(b"%PDF-"):
        return FileType.PDF
    # An archive may hold a PDF, and begin with its name.
    if _PDF_VERSION.search(head[:HEAD_BYTES]) and refused(head) is None:
        return FileType.PDF
    return None


def require_kind(data: bytes) -> FileType:
    """The kind of ``data``; raises ItemError EMPTY_FILE, UNSUPPORTED or NOT_AN_IMAGE."""
    if not data:
        raise ItemError(Code.EMPTY_FILE, "the file is empty: copy or scan it again")
    kind = sniff(data[:HEAD_BYTES])
    if kind is not None:
        return kind
    name = refused(data[:HEAD_BYTES])
    if name is not None:
        remedy = _REMEDIES.get(name, "save it as PNG, TIFF or PDF")
        raise ItemError(Code.UNSUPPORTED, f"this is {name}, which is not supported: {remedy}")
    raise ItemError(
        Code.NOT_AN_IMAGE,
        "not a known image format: use PNG, JPEG, TIFF, WebP, BMP, GIF or PDF",
    )


def refused(head: bytes) -> str | None:
    """The name of a known format that Inkmill does not read ("a GIF"), else None."""
    for offset, signature, name in _REFUSED:
        if head[offset : offset + len(signature)] == signature:
            return name
    return None


def count_pages(source: bytes | Path, limits: Limits | None = None) -> int:
    """How many pages a file holds: of a TIFF without thumbnails, of a PDF, 1 otherwise.

    Nothing is decoded or rendered. Raises ItemError EMPTY_FILE, NOT_AN_IMAGE, UNSUPPORTED,
    TRUNCATED, or TOO_LARGE above ``limits.max_pages``.
    """
    limits = limits or Limits()
    if isinstance(source, Path):
        with source.open("rb") as file:
            kind = require_kind(file.read(HEAD_BYTES))
        if kind not in (FileType.TIFF, FileType.PDF):
            return 1
        source = source.read_bytes()
    kind = require_kind(source)
    if kind is FileType.TIFF:
        pages = len(tiff_pages(source, limits))
    elif kind is FileType.PDF:
        pages = count_pdf(source)
    else:
        return 1
    if pages > limits.max_pages:
        raise ItemError(
            Code.TOO_LARGE,
            f"{pages} pages, but at most {limits.max_pages} are allowed: split the file",
        )
    return pages


def read_header(data: bytes, page: int = 1, limits: Limits | None = None) -> Header:
    """The header of page ``page`` (from 1), its size checked against ``limits``.

    Also checks that the file is whole, as far as its structure tells: decoders return half a
    picture of half a file without a word. Raises ItemError as `count_pages` does.
    """
    limits = limits or Limits()
    kind = require_kind(data)
    if page != 1 and kind not in (FileType.TIFF, FileType.PDF):
        raise ItemError(Code.MISSING, f"there is no page {page} in a {kind}: it holds one")
    try:
        header = _READERS[kind](data, page, limits)
    except (struct.error, IndexError) as error:
        raise truncated(kind) from error
    if header.width < 1 or header.height < 1:
        raise ItemError(Code.NOT_AN_IMAGE, f"the {kind} has no pixels: save it again")
    longer = max(header.aspect, 1 / header.aspect)
    if header.width * header.height * longer > limits.max_pixels:
        raise ItemError(
            Code.TOO_LARGE,
            f"{header.width} x {header.height} pixels, but at most "
            f"{limits.max_pixels:,} are allowed: scan at a lower resolution",
        )
    return header


_READERS: dict[FileType, Callable[[bytes, int, Limits], Header]] = {
    FileType.PNG: read_png,
    FileType.JPEG: read_jpeg,
    FileType.WEBP: read_webp,
    FileType.BMP: read_bmp,
    FileType.GIF: read_gif,
    FileType.TIFF: read_tiff,
    FileType.PDF: read_pdf,
}
