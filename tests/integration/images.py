"""Images for the tests, drawn here: digits as a form's writer might make them, and bad files."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inkmill.forms.cut.normalise import normalise


def digit(number: int) -> NDArray[np.uint8]:
    """A digit as MNIST has them: white ink on black, uint8 (28, 28)."""
    crop = normalise(paper(number))
    if crop is None:
        raise AssertionError("a digit has ink")
    return crop


def paper(number: int) -> NDArray[np.uint8]:
    """A digit on a cut-out of paper: dark ink on white, uint8 (112, 112)."""
    canvas = np.full((112, 112), 255, np.uint8)
    cv2.putText(canvas, str(number), (26, 88), cv2.FONT_HERSHEY_SIMPLEX, 3, 0, 5, cv2.LINE_AA)
    return canvas


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(number: int) -> bytes:
    """A digit as a PNG file of 28x28 pixels."""
    return encode(Image.fromarray(digit(number)))


def digits(folder: Path, count: int) -> Path:
    """A folder of ``count`` digit images called 00000_0.png, 00001_1.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:05d}_{number % 10}.png").write_bytes(png(number % 10))
    return folder


def odd_ones() -> dict[str, bytes]:
    """Files that are right in unusual ways: each is the digit 3."""
    three = Image.fromarray(paper(3))
    transparent = Image.new("RGBA", three.size, (0, 0, 0, 0))
    transparent.putalpha(Image.fromarray(255 - paper(3)))
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned: rotate by 90 degrees to see it upright
    sixteen = Image.fromarray(np.asarray(three, np.uint16) * 257)
    return {
        "wrong_extension.jpg": encode(three),
        "sixteen_bit.png": encode(sixteen),
        "palette.png": encode(three.convert("P")),
        "transparent_ground.png": encode(transparent),
        "cmyk.jpg": encode(three.convert("CMYK"), "JPEG", quality=95),
        "turned.jpg": encode(
            three.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=turned
        ),
        "dark_on_light.webp": encode(three.convert("RGB"), "WEBP", quality=90),
        "bilevel.tif": encode(three.convert("1"), "TIFF", compression="group4"),
    }


def bad_ones() -> dict[str, tuple[bytes, str]]:
    """Files that cannot be read, each with the code that its row must have."""
    whole = png(5)
    frames = [Image.fromarray(digit(number)) for number in (1, 2)]
    animated = encode(frames[0], save_all=True, append_images=frames[1:], duration=100)
    # A header that claims 60,000 x 60,000 pixels, its own checksum right.
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + whole[24:29]
    huge = whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:]
    return {
        "empty.png": (b"", "EMPTY_FILE"),
        "words.png": (b"these are words and no picture, whatever the name says", "NOT_AN_IMAGE"),
        "truncated.png": (whole[: len(whole) // 2], "TRUNCATED"),
        "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(64), "UNSUPPORTED"),
        "animated.png": (animated, "UNSUPPORTED"),
        "huge.png": (huge, "TOO_LARGE"),
    }
