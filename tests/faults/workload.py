"""What the fault suite submits: real digits as PNG files, among them some that do harm."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from inkmill.codes import Code
from tests.integration import images

Marks = Mapping[int, tuple[str, Code | None]]

#: So many different digits; larger workloads repeat them.
DISTINCT = 500


@dataclass(frozen=True)
class Workload:
    """A folder of digits. ``harmful``: source -> the code that its row must have (None: read)."""

    folder: Path
    count: int
    harmful: Mapping[str, Code | None] = field(default_factory=dict)


def source(number: int, mark: str = "") -> str:
    """The file name of the item at this position."""
    return f"{number:06d}{'-' + mark.replace('=', '_') if mark else ''}.png"


def number_of(name: str) -> int:
    """Which of the distinct digits an item shows."""
    return int(name[:6]) % DISTINCT


def build(folder: Path, count: int, marks: Marks | None = None) -> Workload:
    """Write ``count`` digits; ``marks``: position -> what befalls its reader, and its code."""
    folder.mkdir(parents=True)
    harmful: dict[str, Code | None] = {}
    for number in range(count):
        mark, code = (marks or {}).get(number, ("", None))
        name = source(number, mark)
        if mark:
            harmful[name] = code
        (folder / name).write_bytes(png(number % DISTINCT, mark))
    return Workload(folder, count, harmful)


@cache
def png(number: int, mark: str = "") -> bytes:
    """One digit as a PNG; a mark goes into a text chunk, which decoders pass over."""
    about = PngImagePlugin.PngInfo()
    if mark:
        about.add_text("Comment", f"FAULT:{mark}\0")
    buffer = io.BytesIO()
    Image.fromarray(digits()[number]).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


@cache
def digits() -> NDArray[np.uint8]:
    """MNIST's first test digits where INKMILL_DATA has them, else drawn ones."""
    path = Path(os.environ.get("INKMILL_DATA", "")) / "mnist" / "t10k-images-idx3-ubyte.gz"
    if path.is_file():
        data = gzip.decompress(path.read_bytes())[16:]
        return np.frombuffer(data, np.uint8).reshape(-1, 28, 28)[:DISTINCT]
    return np.stack([_drawn(number) for number in range(DISTINCT)])


def _drawn(number: int) -> NDArray[np.uint8]:
    """A digit shifted a little, so that no two have the same pixels."""
    shift = number // 10
    return np.roll(images.digit(number % 10), (shift % 5 - 2, shift // 5 % 5 - 2), (0, 1))


def marked(every: int, count: int, mark: str) -> dict[int, tuple[str, Code | None]]:
    """A mark that does no lasting harm on each ``every``-th item."""
    return dict.fromkeys(range(0, count, every), (mark, None))


def sources(work: Workload) -> Sequence[str]:
    """The names of all items, in order."""
    return sorted(path.name for path in work.folder.iterdir())
