"""Files as scanners, copiers, fax machines and office programs make them are read as they are."""

from __future__ import annotations

import io
import math
import struct

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.intake import decode_page
from inkmill.imagefile.sniff import FileType, count_pages, read_header, sniff


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def scan(height: int = 1200, width: int = 840) -> np.ndarray:
    """A page with print on it, not symmetric in any way."""
    page = np.full((height, width), 245, np.uint8)
    cv2.putText(page, "A FORM", (width // 8, height // 4), cv2.FONT_HERSHEY_SIMPLEX, 3, 20, 8)
    cv2.rectangle(page, (width // 2, height // 2), (width * 3 // 4, height * 5 // 8), 60, 4)
    return page


def alike(found: np.ndarray, wanted: np.ndarray) -> float:
    resized = cv2.resize(found, wanted.shape[::-1], interpolation=cv2.INTER_AREA)
    return float(np.corrcoef(resized.ravel().astype(float), wanted.ravel().astype(float))[0, 1])


# --- bits in use -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
def test_the_bits_in_use_are_the_range(bits: int, kind: str) -> None:
    wide = (scan().astype(np.float64) * (2**bits - 1) / 255).astype(np.uint16)
    found = decode_page(saved(Image.fromarray(wide), kind)).grey
    assert np.abs(found.astype(int) - scan().astype(int)).max() <= 1


def test_a_black_page_of_16_bits_stays_black() -> None:
    black = Image.fromarray(np.zeros((30, 30), np.uint16))
    assert decode_page(saved(black, "PNG")).grey.max() == 0


# --- pixels that are not square ----------------------------------------------------------------


@pytest.mark.parametrize(("across", "down"), [(204, 98), (204, 196), (98, 204), (300, 150)])
@pytest.mark.parametrize("kind", ["TIFF", "PNG", "JPEG"])
def test_faxes_become_square(across: int, down: int, kind: str) -> None:
    page = scan()
    finest = max(across, down)
    size = (round(page.shape[1] * across / finest), round(page.shape[0] * down / finest))
    fax = Image.fromarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA))
    found = decode_page(saved(fax, kind, dpi=(across, down)), colour=True)
    assert max(abs(a - b) for a, b in zip(found.grey.shape, page.shape, strict=True)) <= 2
    assert alike(found.grey, page) > 0.9
    assert found.dpi is not None
    assert abs(found.dpi - finest) < 1


@pytest.mark.parametrize(("across", "down"), [(1, 1), (300, 1), (1, 72), (300, 300), (600, 100)])
def test_resolutions_that_cannot_be_stretch_nothing(across: int, down: int) -> None:
    image = Image.fromarray(scan())
    assert decode_page(saved(image, "TIFF", dpi=(across, down))).grey.shape == (1200, 840)


# --- TIFF: what is a page ----------------------------------------------------------------------


def stacked(*pages: tuple[np.ndarray, dict[int, int]]) -> bytes:
    """A TIFF of these pictures, each with tags of its own."""
    sink = io.BytesIO()
    with AppendingTiffWriter(sink, True) as writer:
        for pixels, tags in pages:
            Image.fromarray(pixels).save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
    return sink.getvalue()


SMALL = cv2.resize(scan(), (160, 229), interpolation=cv2.INTER_AREA)


def other() -> np.ndarray:
    return np.ascontiguousarray(scan()[::-1, ::-1])


@pytest.mark.parametrize(
    "between",
    [(SMALL, {254: 1}), (SMALL, {255: 2}), (SMALL, {}), (scan(600, 420), {254: 1})],
    ids=["says so", "says so as of old", "says nothing", "half the size"],
)
def test_thumbnails_are_no_pages(between: tuple[np.ndarray, dict[int, int]]) -> None:
    data = stacked((scan(), {}), between, (other(), {}))
    assert count_pages(data) == 2
    assert np.array_equal(decode_page(data, 2).grey, other())
    with pytest.raises(ItemError, match="no page 3"):
        decode_page(data, 3)


def test_small_pages_of_their_own_are_pages() -> None:
    digits: list[tuple[np.ndarray, dict[int, int]]] = [
        (np.full((28 + n, 28), 40 * n, np.uint8), {}) for n in range(4)
    ]
    assert count_pages(stacked(*digits)) == 4
    assert count_pages(stacked((scan(), {}), (np.full((200, 250), 9, np.uint8), {}))) == 2


def test_a_tiff_of_reduced_pictures_alone_keeps_them() -> None:
    assert count_pages(stacked((scan(), {254: 1}), (other(), {254: 1}))) == 2


# --- PDF ---------------------------------------------------------------------------------------


def pdf(objects: list[bytes]) -> bytes:
    """A PDF of these objects, the first of which is its catalogue."""
    body, offsets = b"%PDF-1.6\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    start, count = len(body), len(objects) + 1
    body += b"xref\n0 %d\n0000000000 65535 f \n" % count
    body += b"".join(b"%010d 00000 n \n" % each for each in offsets)
    return body + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (count, start)


def stream(content: bytes, about: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (about, len(content), content)


def drawn_page(content: bytes, more: bytes = b"", others: tuple[bytes, ...] = ()) -> bytes:
    """A PDF of one page of 300 x 400 points."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 400]/Contents 4 0 R%s>>" % more
    fields = b"/AcroForm<</Fields[5 0 R]>>" if b"Annots" in more else b""
    return pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R%s>>" % fields,
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            page,
            stream(content),
            *others,
        ]
    )


def picture(pixels: np.ndarray) -> bytes:
    height, width = pixels.shape
    about = b"/Type/XObject/Subtype/Image/Width %d/Height %d" % (width, height)
    return stream(pixels.tobytes(), about + b"/ColorSpace/DeviceGray/BitsPerComponent 8")


def test_filled_form_fields_are_drawn() -> None:
    shown = stream(b"0 0 0 rg 10 10 80 80 re f", b"/Type/XObject/Subtype/Form/BBox[0 0 100 100]")
    field = (
        b"<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(5)/Rect[100 100 200 200]/F 4/AP<</N 6 0 R>>>>"
    )
    data = drawn_page(b"0 0 0 RG 5 5 290 390 re S", b"/Annots[5 0 R]", (field, shown))
    page = decode_page(data)
    scale = 300 / 72
    assert page.grey[round(250 * scale), round(150 * scale)] < 50


STRIPS = [(0, 600), (600, 1200)]


@pytest.mark.parametrize("strips", [[(0, 1200)], STRIPS], ids=["whole", "strips"])
@pytest.mark.parametrize("text", [b"", b"BT 3 Tr /F 9 Tf (read) Tj ET " * 9], ids=["", "OCR"])
def test_a_scan_of_strips_or_with_a_text_layer_is_a_scan(
    strips: list[tuple[int, int]], text: bytes
) -> None:
    content = b"".join(
        b"q 300 0 0 %f 0 %f cm /I%d Do Q " % ((bottom - top) / 3, 400 - bottom / 3, number)
        for number, (top, bottom) in enumerate(strips)
    )
    names = b"".join(b"/I%d %d 0 R" % (n, 5 + n) for n in range(len(strips)))
    fonts = b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>"
    more = b"/Resources<</XObject<<%s>>%s>>" % (names, fonts)
    data = drawn_page(
        content + text, more, tuple(picture(scan(1200, 900)[top:end]) for top, end in strips)
    )
    page = decode_page(data)
    assert page.grey.shape == (1200, 900)
    assert alike(page.grey, scan(1200, 900)) > 0.99


def test_a_picture_on_a_drawn_page_does_not_make_it_coarse() -> None:
    lines = b"".join(b"%d 10 m %d 390 l S " % (x, x) for x in range(10, 290, 10))
    more = b"/Resources<</XObject<</I0 5 0 R>>>>"
    data = drawn_page(b"q 300 0 0 400 0 0 cm /I0 Do Q " + lines, more, (picture(scan(133, 100)),))
    assert decode_page(data).grey.shape == (math.ceil(400 * 300 / 72), math.ceil(300 * 300 / 72))
    logo = drawn_page(b"q 30 0 0 40 0 0 cm /I0 Do Q ", more, (picture(scan(133, 100)),))
    assert decode_page(logo).dpi == 300


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", bytes(4845)),
        (b"", bytes(100_000)),
        (b"\x1b%-12345X@PJL JOB\n" + b"@PJL SET X=1\n" * 15, b""),
        (b"\x1b%-12345X@PJL JOB\n", b"\r\n\x1b%-12345X@PJL EOJ\r\n"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 900 + b"\r\n\r\n", bytes(20)),
    ],
)
def test_what_printers_and_copiers_put_around_a_pdf_is_passed_over(
    before: bytes, after: bytes
) -> None:
    data = before + saved(Image.fromarray(scan()), "PDF", resolution=100) + after
    assert sniff(data) is FileType.PDF
    assert count_pages(data) == 1
    assert alike(decode_page(data).grey, scan()) > 0.95


def test_a_pdf_that_is_cut_short_is_still_seen() -> None:
    data = saved(Image.fromarray(scan()), "PDF")
    with pytest.raises(ItemError) as caught:
        read_header(data[: len(data) // 2] + bytes(5000))
    assert caught.value.code is Code.TRUNCATED


# --- BMP and GIF -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("kind", ["BMP", "GIF"])
def test_bmp_and_gif_are_read(kind: str, mode: str) -> None:
    data = saved(Image.fromarray(scan()).convert(mode, dither=Image.Dither.NONE), kind)
    assert sniff(data) is FileType[kind]
    assert alike(decode_page(data).grey, scan()) > 0.95


@pytest.mark.parametrize("kind", ["BMP", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_bmp_or_gif_is_truncated(kind: str, share: float) -> None:
    data = saved(Image.fromarray(scan()), kind)
    with pytest.raises(ItemError) as caught:
        read_header(data[: round(len(data) * share)])
    assert caught.value.code is Code.TRUNCATED


def test_a_gif_of_several_frames_is_refused() -> None:
    frames = [Image.fromarray(scan()), Image.fromarray(other())]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(ItemError, match="animation"):
        read_header(data)


def test_a_text_that_begins_like_a_bmp_is_none() -> None:
    assert sniff(b"BMW,3,1999\n" * 20) is None
    assert sniff(struct.pack("<2sI", b"BM", 99) + b"\1\0\0\0" + bytes(90)) is None
