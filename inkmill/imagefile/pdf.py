"""PDF files: how many pages, and how large each is, by pdfium and without drawing."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.headers import FileType, Header, Limits, truncated

if TYPE_CHECKING:
    import pypdfium2

#: pdfium allows one call at a time in a process, from whichever thread.
PDFIUM_LOCK = threading.Lock()

POINTS_PER_INCH = 72.0
#: Resolution at which a PDF page is rendered that is not one scanned picture: what scanners for
#: forms are set to.
PDF_DPI = 300.0
#: Printers' job languages and mail headers stand before some files, of at most this many bytes.
PDF_STARTS_WITHIN = 1024
#: Bytes at the end of which one must be the file's end mark, besides the NULs that copiers add.
_ENDS_WITHIN = 4096
#: Objects of a page that are looked at for its pictures, and forms within forms.
_MOST_OBJECTS, _DEEPEST = 5_000, 4
#: Pictures whose resolutions differ by this part are strips or tiles of one.
_ALIKE = 0.1
#: With this much drawn besides its pictures, a page is no scan.
_DRAWN = 5
_TEXT_INVISIBLE = 3


@contextmanager
def open_pdf(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    """An open document, its form fields ready to be drawn; others wait until it is closed.

    Raises ItemError UNSUPPORTED for a password, TRUNCATED for what pdfium cannot open.
    """
    import pypdfium2

    with PDFIUM_LOCK:
        try:
            document = pypdfium2.PdfDocument(_body(data))
        except pypdfium2.PdfiumError as error:
            raise _refused(error) from error
        try:
            document.init_forms()
            yield document
        except pypdfium2.PdfiumError as error:
            raise truncated(FileType.PDF) from error
        finally:
            document.close()


def _body(data: bytes) -> bytes:
    """The file without what printers and copiers put before and after it."""
    start = max(0, data.find(b"%PDF-", 0, PDF_STARTS_WITHIN))
    end = len(data)
    if data.endswith(b"\0"):
        end = len(data.rstrip(b"\0"))
    return data if (start, end) == (0, len(data)) else data[start:end]


def _refused(error: Exception) -> ItemError:
    if "password" in str(error).lower():
        return ItemError(Code.UNSUPPORTED, "the PDF needs a password: save a copy without one")
    return truncated(FileType.PDF)


def count_pdf(data: bytes) -> int:
    with open_pdf(data) as document:
        return len(document)


def read_pdf(data: bytes, page: int, _limits: Limits) -> Header:
    """The page's size in pixels at the resolution at which it is to be rendered, ``Header.dpi``."""
    if b"%%EOF" not in _body(data)[-_ENDS_WITHIN:]:
        raise truncated(FileType.PDF)
    with open_pdf(data) as document:
        if not 1 <= page <= len(document):
            raise ItemError(Code.MISSING, f"there is no page {page}: the PDF holds {len(document)}")
        opened = document[page - 1]
        width, height = opened.get_size()
        dpi = _resolution(opened, width * height)
    scale = dpi / POINTS_PER_INCH
    return Header(FileType.PDF, round(width * scale), round(height * scale), 1, 8, True, dpi)


def _resolution(page: pypdfium2.PdfPage, area: float) -> float:
    """The resolution of the scanned pictures that a page consists of, else `PDF_DPI`.

    Programs often give a scan's page the wrong size, and so its pictures the wrong resolution:
    only at that one, none of their pixels is lost or made up.
    """
    import pypdfium2.raw as raw

    pictures, drawn = list[tuple[float, float]](), 0
    for each in islice(page.get_objects(max_depth=_DEEPEST), _MOST_OBJECTS):
        if each.type == raw.FPDF_PAGEOBJ_IMAGE:
            pictures.append(_picture(each))
        elif each.type == raw.FPDF_PAGEOBJ_TEXT:
            # A text layer that was recognised in a scan is not shown.
            drawn += raw.FPDFTextObj_GetTextRenderMode(each) != _TEXT_INVISIBLE
        elif each.type in (raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_SHADING):
            drawn += 1
    scanned = [
        dpi
        for dpi, _ in pictures
        if sum(part for other, part in pictures if abs(other - dpi) <= _ALIKE * dpi) >= area / 2
    ]
    if not scanned:
        return PDF_DPI
    return max(max(scanned), PDF_DPI) if drawn >= _DRAWN else max(scanned)


def _picture(image: pypdfium2.PdfObject) -> tuple[float, float]:
    """A picture's resolution, and the area that it takes up on the page in square points."""
    matrix, above = image.get_matrix(), image.container
    while above is not None:
        matrix, above = matrix.multiply(above.get_matrix()), above.container
    across, down = math.hypot(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d)
    if not min(across, down) > 0:
        return 0.0, 0.0
    width, height = image.get_px_size()
    return POINTS_PER_INCH * max(width / across, height / down), across * down
