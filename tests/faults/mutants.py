"""Image and PDF files as disks, mail servers and scanners damage them: the same for each seed."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from tests.integration.images import digit, encode, paper
from tests.unit.sheets import load, sheet

#: A page is drawn at so many dots an inch: fine enough to be located, small enough for thousands.
_DPI = 100.0
#: The part of a file's beginning that headers are in.
_HEAD = 96


@dataclass(frozen=True)
class Mutant:
    """A damaged file: which original it was, and what was done to it."""

    name: str
    original: str
    data: bytes


def digit_files() -> dict[str, bytes]:
    """Files of one digit, by format; each is the digit that its name ends with."""
    found: dict[str, bytes] = {}
    for number in range(10):
        small, large = Image.fromarray(digit(number)), Image.fromarray(paper(number))
        found |= {
            f"small.png {number}": encode(small),
            f"palette.png {number}": encode(large.convert("P")),
            f"jpeg.jpg {number}": encode(large, "JPEG", quality=90),
            f"cmyk.jpg {number}": encode(large.convert("CMYK"), "JPEG", quality=90),
            f"lossless.webp {number}": encode(large, "WEBP", lossless=True),
            f"lzw.tif {number}": encode(large, "TIFF", compression="tiff_lzw"),
            f"g4.tif {number}": encode(large.convert("1"), "TIFF", compression="group4"),
            f"paper.pdf {number}": encode(large, "PDF", resolution=300),
        }
    return found


def page_files() -> dict[str, bytes]:
    """The same filled page of the tally form, by format."""
    page = Image.fromarray(sheet(load("tally"), seed=5, dpi=_DPI).grey)
    bilevel = page.point(lambda level: 255 * (level > 150)).convert("1")
    stack = io.BytesIO()
    bilevel.save(stack, "TIFF", compression="group4", save_all=True, append_images=[bilevel])
    return {
        "page.png": encode(page),
        "page.jpg": encode(page, "JPEG", quality=85, dpi=(_DPI, _DPI)),
        "page.webp": encode(page, "WEBP", quality=80),
        "lzw.tif": encode(page, "TIFF", compression="tiff_lzw"),
        "stack.tif": stack.getvalue(),
        "page.pdf": encode(page, "PDF", resolution=_DPI),
    }


def mutants(originals: Mapping[str, bytes], count: int, seed: int) -> list[Mutant]:
    """So many damaged files, taken from the originals in turn."""
    rng = np.random.default_rng(seed)
    names = list(originals)
    found = []
    for number in range(count):
        original = names[number % len(names)]
        data = bytearray(originals[original])
        done = []
        for _ in range(int(rng.integers(1, 4))):
            how = list(_WAYS)[int(rng.integers(len(_WAYS)))]
            _WAYS[how](data, rng)
            done.append(how)
        suffix = original.split()[0].rpartition(".")[2]
        name = f"{number:05d} {'+'.join(done)}.{suffix}"
        found.append(Mutant(name, original, bytes(data)))
    return found


def _flip(data: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(len(data), size=int(rng.integers(1, 12))):
        data[int(place)] = int(rng.integers(256))


def _flip_head(data: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(min(_HEAD, len(data)), size=int(rng.integers(1, 5))):
        data[int(place)] = int(rng.integers(256))


def _flip_tail(data: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(max(0, len(data) - _HEAD), len(data), size=3):
        data[int(place)] = int(rng.integers(256))


def _truncate(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(1, len(data) + 1)) :]


def _span(data: bytearray, rng: np.random.Generator) -> slice:
    start = int(rng.integers(len(data)))
    return slice(start, start + int(rng.integers(1, max(2, len(data) // 4))))


def _cut_out(data: bytearray, rng: np.random.Generator) -> None:
    del data[_span(data, rng)]
    data += b"" if data else b"\0"


def _double(data: bytearray, rng: np.random.Generator) -> None:
    part = _span(data, rng)
    data[part.start : part.start] = data[part]


def _blank_out(data: bytearray, rng: np.random.Generator) -> None:
    part = _span(data, rng)
    data[part] = bytes(len(data[part]))


def _noise(data: bytearray, rng: np.random.Generator) -> None:
    part = _span(data, rng)
    data[part] = rng.bytes(len(data[part]))


def _big_number(data: bytearray, rng: np.random.Generator) -> None:
    """A length, an offset or a size that is far too large."""
    place = int(rng.integers(max(1, min(len(data), 4 * _HEAD) - 4)))
    data[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"])


_WAYS: dict[str, Callable[[bytearray, np.random.Generator], None]] = {
    "flipped": _flip,
    "head": _flip_head,
    "tail": _flip_tail,
    "truncated": _truncate,
    "cut": _cut_out,
    "doubled": _double,
    "zeros": _blank_out,
    "noise": _noise,
    "numbers": _big_number,
}


def pixels(data: bytes) -> np.ndarray | None:
    """The first page as Pillow has it, with nothing forgiven; None where it refuses the file."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return np.asarray(cv2.resize(np.asarray(image.convert("L")), (112, 112)))
    except Exception:  # whatever Pillow raises, it is a refusal
        return None
