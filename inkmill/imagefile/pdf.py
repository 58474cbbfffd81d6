"""PDF files: how many pages, and how large each is, by pdfium and without drawing."""

from __future__ import annotations

import threading

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.imagefile.headers import FileType, Header, Limits, truncated

#: pdfium allows one call at a time in a process, from whichever thread.
PDFIUM_LOCK = threading.Lock()

_POINTS_PER_INCH = 72.0
#: Resolution at which a PDF page is rendered: what scanners for forms are set to.
PDF_DPI = 300.0


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
        return ItemError(Code.UNSUPPORTED, "the PDF needs a password: save a copy without one")
    return truncated(FileType.PDF)


def read_pdf(data: bytes, page: int, _limits: Limits) -> Header:
    """The page's size in pixels at `PDF_DPI`; what the page shows is not looked at."""
    import pypdfium2

    if b"%%EOF" not in data[-4096:]:
        raise truncated(FileType.PDF)
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
            raise truncated(FileType.PDF) from error
        finally:
            document.close()
    scale = PDF_DPI / _POINTS_PER_INCH
    return Header(FileType.PDF, round(width * scale), round(height * scale), 1, 8, True, PDF_DPI)
