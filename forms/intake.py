"""From a file's bytes to one page's grey pixels.

The header is read and sizes are checked first (`inkmill.imagefile.sniff`). Then OpenCV decodes,
because it takes a third of Pillow's time on small images, except for what it gets wrong: a
transparent background becomes paper instead of black, 16 bits are scaled instead of truncated,
CMYK goes through Pillow, and PDF pages are rendered by pdfium.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.pdf import PDF_DPI, POINTS_PER_INCH, open_pdf
from inkmill.imagefile.sniff import FileType, Header, Limits, read_header

# Damaged files are common; each becomes a row, so OpenCV need not log them as well.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]

#: Ink on a transparent background that differs from white by less than this is light ink.
_LEAST_CONTRAST = 64


@dataclass(frozen=True)
class Page:
    """One decoded page.

    ``grey`` is uint8 (height, width), dark ink on white or the other way round; ``colour`` is
    uint8 (height, width, 3), blue green red, if requested and if the page has any; ``dpi`` is what
    the file says, which is only a hint; ``step`` is how many of the file's pixels, across and down,
    each pixel here stands for.
    """

    grey: Grey
    dpi: float | None = None
    colour: Colour | None = None
    step: int = 1

    @property
    def to_file(self) -> NDArray[np.float64]:
        """3x3: pixels of ``grey`` to the file's pixels; centres are mapped to centres."""
        off = (self.step - 1) / 2
        return np.array([[self.step, 0, off], [0, self.step, off], [0, 0, 1]], np.float64)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the pixels and their shape: the same for equal pages in different files."""
        digest = hashlib.sha256(repr(self.grey.shape).encode())
        digest.update(np.ascontiguousarray(self.grey).data)
        return digest.hexdigest()


def decode_page(
    data: bytes,
    page: int = 1,
    limits: Limits | None = None,
    colour: bool = False,
    enough: float = np.inf,
) -> Page:
    """Decode page ``page`` (from 1) of a file; with ``colour`` also its colours.

    A JPEG whose longer side has at least twice ``enough`` pixels is decoded at half its size,
    which takes half the time (libjpeg then transforms blocks of 4 x 4). Raises ItemError
    EMPTY_FILE, NOT_AN_IMAGE, UNSUPPORTED, TRUNCATED, TOO_LARGE or MISSING (no such page). PDF
    pages are rendered under a lock of the process: pdfium fails when two threads are in it.
    """
    header = read_header(data, page, limits)
    return _squared(_decode(data, page, header, colour, enough), header)


def _decode(data: bytes, page: int, header: Header, colour: bool, enough: float) -> Page:
    if header.kind is FileType.PDF:
        return _render(data, page, colour, header.dpi or PDF_DPI)
    if header.plain and not colour and header.kind is not FileType.TIFF:
        halved = header.kind is FileType.JPEG and max(header.width, header.height) >= 2 * enough
        flags = cv2.IMREAD_REDUCED_GRAYSCALE_2 if halved else cv2.IMREAD_GRAYSCALE
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        return Page(_decoded(grey, header), header.dpi, step=2 if halved else 1)
    pixels = _pixels(data, header)
    levels = _eight_bits(pixels)
    if levels.ndim == 3 and levels.shape[2] in (2, 4):
        levels = _on_paper(levels)
    if levels.ndim == 2:
        return Page(levels, header.dpi)
    grey = np.asarray(cv2.cvtColor(levels, cv2.COLOR_BGR2GRAY), np.uint8)
    return Page(grey, header.dpi, levels if colour else None)


def _squared(page: Page, header: Header) -> Page:
    """A page of square pixels: faxes have more of them across than down, or the reverse."""
    if header.aspect == 1.0:
        return page
    height, width = page.grey.shape
    taller, wider = max(header.aspect, 1.0), max(1 / header.aspect, 1.0)
    size = (round(width * wider), round(height * taller))

    def resized(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(levels, size, interpolation=cv2.INTER_LINEAR), np.uint8)

    colour = resized(page.colour) if page.colour is not None else None
    return replace(page, grey=resized(page.grey), colour=colour)


def _pixels(data: bytes, header: Header) -> NDArray[np.generic]:
    """Pixels of one page as stored: any depth, with alpha, channels in OpenCV's order."""
    buffer = np.frombuffer(data, np.uint8)
    if header.kind is FileType.TIFF:
        if not header.plain:
            return _through_pillow(data, header)
        flags = cv2.IMREAD_UNCHANGED if header.channels > 1 else cv2.IMREAD_GRAYSCALE
        try:
            _, pages = cv2.imdecodemulti(buffer, flags, range=(header.frame, header.frame + 1))
        except cv2.error:  # raised for some missing tags; other damage yields no page
            pages = ()
        return _decoded(pages[0] if pages else None, header)
    if header.kind is FileType.JPEG:
        if header.channels == 4:
            return _through_pillow(data, header)
        flags = cv2.IMREAD_COLOR if header.channels == 3 else cv2.IMREAD_GRAYSCALE
        return _decoded(cv2.imdecode(buffer, flags), header)
    if header.kind in (FileType.BMP, FileType.GIF):
        return _through_pillow(data, header)
    if header.exif or (header.kind is FileType.PNG and header.channels == 2):
        # OpenCV drops alpha, or the orientation, or the second channel at 16 bits.
        return _through_pillow(data, header)
    return _decoded(cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED), header)


def _decoded(pixels: NDArray[np.generic] | None, header: Header) -> NDArray[np.uint8]:
    if pixels is None or pixels.size == 0:
        raise ItemError(
            Code.TRUNCATED, f"the {header.kind} is damaged inside: copy or scan it again"
        )
    return np.asarray(pixels)


def _through_pillow(data: bytes, header: Header) -> NDArray[np.generic]:
    """Decode the rare kinds that OpenCV reads wrongly; rotated as EXIF or the TIFF says."""
    from PIL import Image, ImageOps

    kind = "WEBP" if header.kind is FileType.WEBP else str(header.kind)
    try:
        with warnings.catch_warnings():
            # The size was already checked against our own limits.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=[kind]) as image:
                image.seek(header.frame)
                image.load()
                upright = ImageOps.exif_transpose(image)
                return _from_pillow(upright)
    except Image.DecompressionBombError as error:
        raise ItemError(Code.TOO_LARGE, f"too many pixels: {error}") from error
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, TypeError) as error:
        raise ItemError(
            Code.TRUNCATED, f"the {header.kind} is damaged inside: copy or scan it again"
        ) from error


def _from_pillow(image: object) -> NDArray[np.generic]:
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image)
    if image.mode in ("LA", "La") or (image.mode == "L" and "transparency" in image.info):
        return np.asarray(image.convert("LA"))
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode in ("RGBA", "RGBa", "PA") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., [2, 1, 0, 3]])
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])


def _eight_bits(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale to 8 bits per channel: 16 bits by those in use, other depths by their range.

    Scanners and cameras of 10, 12 and 14 bits save them in 16, most often without saying so.
    """
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    values = pixels.astype(np.float32)
    if pixels.dtype == np.uint16:
        bits = max(8, int(pixels.max()).bit_length())
        return np.asarray(values * (255.0 / (2**bits - 1)) + 0.5, np.uint8)
    low, high = float(values.min()), float(values.max())
    # 32-bit and float images declare no range: use the range of their values.
    span = high - low if high > low else 1.0
    return np.asarray((values - low) * (255.0 / span) + 0.5, np.uint8)


def _on_paper(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour or grey with alpha, composed onto white, or onto black if the ink is light.

    Both a white and a black digit on a transparent background must stay readable.
    """
    alpha = levels[..., -1:].astype(np.float32) / 255.0
    ink = levels[..., :-1].astype(np.float32) * alpha
    on_white = np.asarray(ink + (1.0 - alpha) * 255.0 + 0.5, np.uint8)
    if alpha.min() < 0.5 and _contrast(on_white) < _LEAST_CONTRAST:
        on_black = np.asarray(ink + 0.5, np.uint8)
        if _contrast(on_black) > _contrast(on_white):
            on_white = on_black
    return on_white[..., 0] if on_white.shape[2] == 1 else on_white


def _contrast(levels: NDArray[np.uint8]) -> int:
    return int(levels.max()) - int(levels.min())


def _render(data: bytes, page: int, colour: bool, dpi: float) -> Page:
    import pypdfium2

    with open_pdf(data) as document:
        try:
            bitmap = document[page - 1].render(
                scale=dpi / POINTS_PER_INCH, grayscale=not colour, prefer_bgrx=False
            )
        except pypdfium2.PdfiumError as error:
            raise ItemError(
                Code.TRUNCATED, "the PDF page cannot be rendered: print or save it again"
            ) from error
        levels = np.array(bitmap.to_numpy(), dtype=np.uint8)
    if levels.ndim == 3 and levels.shape[2] == 1:
        levels = levels[..., 0]
    if levels.ndim == 2:
        return Page(levels, dpi)
    levels = np.ascontiguousarray(levels[..., :3])
    return Page(np.asarray(cv2.cvtColor(levels, cv2.COLOR_BGR2GRAY), np.uint8), dpi, levels)
