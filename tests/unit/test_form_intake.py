"""Any file a user may give becomes upright grey pixels, or an error with a code."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from inkmill.codes import Code
from inkmill.errors import ItemError
from inkmill.forms.cut.normalise import normalise
from inkmill.forms.intake import decode_page

#: A 4: no symmetry, so that a turned or mirrored picture shows.
LIGHT = np.zeros((48, 40), np.uint8)
cv2.putText(LIGHT, "4", (6, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 255, 4, cv2.LINE_AA)
DARK = 255 - LIGHT
NOTHING = np.zeros_like(LIGHT)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


def grey(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels)


def turned() -> tuple[Image.Image, Image.Exif]:
    """The picture as a camera stores it that was held on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return grey(DARK).transpose(Image.Transpose.ROTATE_90), exif


def rgba(colour: int) -> Image.Image:
    return Image.fromarray(np.dstack([NOTHING + np.uint8(colour)] * 3 + [LIGHT]))


def likeness(found: np.ndarray) -> float:
    """How well the crop of a picture agrees with that of the original, 1 for the same."""
    crop, wanted = normalise(found), normalise(DARK)
    assert crop is not None
    assert wanted is not None
    return float(np.corrcoef(crop.ravel(), wanted.ravel())[0, 1])


CASES = {
    "grey PNG": lambda: encoded(grey(DARK), "PNG"),
    "16-bit PNG": lambda: encoded(Image.fromarray(DARK.astype(np.uint16) * 257), "PNG"),
    "16-bit TIFF": lambda: encoded(Image.fromarray(DARK.astype(np.uint16) * 257), "TIFF"),
    "palette PNG": lambda: encoded(grey(DARK).convert("RGB").quantize(16), "PNG"),
    "bilevel PNG": lambda: encoded(grey(DARK).convert("1", dither=Image.Dither.NONE), "PNG"),
    "colour PNG": lambda: encoded(grey(DARK).convert("RGB"), "PNG"),
    "black on transparent PNG": lambda: encoded(rgba(0), "PNG"),
    "white on transparent PNG": lambda: encoded(rgba(255), "PNG"),
    "grey with alpha PNG": lambda: encoded(
        Image.fromarray(np.dstack([NOTHING, LIGHT]), "LA"), "PNG"
    ),
    "JPEG": lambda: encoded(grey(DARK), "JPEG", quality=95),
    "CMYK JPEG": lambda: encoded(grey(DARK).convert("RGB").convert("CMYK"), "JPEG", quality=95),
    "JPEG on its side": lambda: encoded(turned()[0], "JPEG", quality=95, exif=turned()[1]),
    "PNG on its side": lambda: encoded(turned()[0], "PNG", exif=turned()[1]),
    "WebP": lambda: encoded(grey(DARK), "WEBP", lossless=True),
    "transparent WebP": lambda: encoded(rgba(0), "WEBP", lossless=True),
    "LZW TIFF": lambda: encoded(grey(DARK), "TIFF", compression="tiff_lzw"),
    "G4 TIFF": lambda: encoded(
        grey(DARK).convert("1", dither=Image.Dither.NONE), "TIFF", compression="group4"
    ),
    "G4 TIFF, white is 0": lambda: encoded(
        grey(DARK).convert("1", dither=Image.Dither.NONE),
        "TIFF",
        compression="group4",
        tiffinfo={262: 0},
    ),
    "BMP": lambda: encoded(grey(DARK), "BMP"),
    "bilevel BMP": lambda: encoded(grey(DARK).convert("1", dither=Image.Dither.NONE), "BMP"),
    "GIF": lambda: encoded(grey(DARK), "GIF"),
    "palette TIFF": lambda: encoded(grey(DARK).convert("P"), "TIFF"),
    "CMYK TIFF": lambda: encoded(grey(DARK).convert("RGB").convert("CMYK"), "TIFF"),
}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_file_shows_the_same_digit(name: str) -> None:
    found = decode_page(CASES[name]()).grey
    assert found.dtype == np.uint8
    assert found.shape == DARK.shape
    # Light or dark ink: what counts is the crop that the model gets.
    assert likeness(found) > 0.85


@pytest.mark.parametrize("dpi", [36, 72, 100, 300, 1200])
def test_a_scan_in_a_pdf_is_rendered_with_the_pixels_that_it_has(dpi: int) -> None:
    page = decode_page(encoded(grey(DARK), "PDF", resolution=dpi))
    assert round(page.dpi or 0) == dpi
    assert max(abs(a - b) for a, b in zip(page.grey.shape, DARK.shape, strict=True)) <= 1
    assert likeness(page.grey) > 0.85


def test_pages_of_a_stack_differ_and_have_their_own_sha256() -> None:
    second = grey(DARK).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    data = encoded(grey(DARK), "TIFF", save_all=True, append_images=[second])
    one, two = decode_page(data, 1), decode_page(data, 2)
    assert np.array_equal(two.grey, one.grey[:, ::-1])
    assert one.sha256 != two.sha256
    assert one.sha256 == decode_page(encoded(grey(DARK), "PNG")).sha256


def test_colour_comes_when_it_is_asked_for() -> None:
    red = np.zeros((20, 20, 3), np.uint8) + np.array([200, 30, 30], np.uint8)
    page = decode_page(encoded(Image.fromarray(red), "PNG"), colour=True)
    assert page.colour is not None
    assert page.colour[0, 0].tolist() == [30, 30, 200]


def test_the_resolution_is_read_as_a_hint() -> None:
    assert decode_page(encoded(grey(DARK), "JPEG", dpi=(150, 150))).dpi == 150
    assert decode_page(encoded(grey(DARK), "TIFF", dpi=(200, 200))).dpi == 200
    assert round(decode_page(encoded(grey(DARK), "PNG", dpi=(300, 300))).dpi or 0) == 300


def test_mutated_files_end_as_pixels_or_as_an_item_error() -> None:
    rng = np.random.default_rng(3)
    names = ["grey PNG", "JPEG", "LZW TIFF", "G4 TIFF", "WebP", "palette PNG", "CMYK JPEG"]
    sources = [CASES[name]() for name in names] + [encoded(grey(DARK), "PDF")]
    codes = set()
    for number in range(600):
        data = bytearray(sources[number % len(sources)])
        for _ in range(int(rng.integers(1, 12))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        if number % 3 == 0:
            del data[int(rng.integers(1, len(data))) :]
        try:
            assert decode_page(bytes(data)).grey.ndim == 2
        except ItemError as error:
            codes.add(error.code)
    assert Code.TRUNCATED in codes
