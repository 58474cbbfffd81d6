"""The inputs of the measurements."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inkmill.errors import ItemError
from inkmill.forms import kernels
from inkmill.forms.intake import decode_page
from inkmill.forms.locate.registration import locate
from inkmill.forms.reader import PageCells, cut_page, enough_pixels, too_coarse
from inkmill.forms.synth.faults import Scan, degrade
from inkmill.forms.synth.filling import fill_page
from inkmill.forms.synth.handwriting import HandwrittenDigits, load_digits
from inkmill.forms.synth.printing import draw_page
from inkmill.imagefile.sniff import Limits
from inkmill.records.chunks import Item
from inkmill.settings import Settings
from inkmill.template.form import Form

#: Twenty numbers of three cells, all of them written.
SIXTY_CELLS = """
inkmill_form: 1
name: sixty
page: {width: 210, height: 297, unit: mm}
registration:
  marks: {shape: square, size: 5, at: [[12, 12], [198, 12], [198, 285], [12, 285]]}
  code: {kind: qr, box: [166, 20, 22, 22], value: sixty-1}
tables:
  - rows: {count: 10, pitch: [0, 20]}
    columns:
      - name: left
        type: number
        cells: {origin: [40, 70], size: [9, 13], pitch: [10.5, 0], count: 3}
      - name: right
        type: number
        cells: {origin: [120, 70], size: [9, 13], pitch: [10.5, 0], count: 3}
"""
_SEED = 6


def data_folder() -> Path:
    """The folder that holds mnist/. Exits with words when it is not named."""
    folder = os.environ.get("INKMILL_DATA")
    if not folder:
        raise SystemExit("bench: name the folder that holds mnist/ by INKMILL_DATA")
    return Path(folder)


@cache
def digits(source: str = "mnist-train") -> HandwrittenDigits:
    return load_digits(data_folder(), source)


@cache
def digit_files(count: int = 60_000) -> tuple[bytes, ...]:
    """MNIST's training images as PNG files, in MNIST's order."""
    return tuple(cv2.imencode(".png", image)[1].tobytes() for image in digits().images[:count])


def digit_items(count: int) -> Iterator[Item]:
    """As many items as asked for: the files again and again, under names of their own."""
    from hashlib import sha256

    files = digit_files()
    hashes = [sha256(data).hexdigest() for data in files]
    for number in range(count):
        place = number % len(files)
        yield Item(
            number,
            f"{number // 10_000:04d}/{number:08d}.png",
            data=files[place],
            sha256=hashes[place],
        )


def use_kernels() -> None:
    """Read pages by compiled kernels, as engines do. Exits with words where this is impossible."""
    if not kernels.enable(Settings().cache_dir / "kernels"):
        raise SystemExit(
            "bench: pages would be read without compiled kernels, in twice the time that engines "
            'take: install the extra "worker", with numba'
        )


@cache
def page_form() -> Form:
    return Form.parse(SIXTY_CELLS)


def page_files(count: int = 32) -> tuple[bytes, ...]:
    """A4 pages at 300 dpi as a feeder scans them, a little askew: JPEG files."""
    return tuple(data for data, _ in written_pages(count))


@cache
def written_pages(count: int) -> tuple[tuple[bytes, dict[str, str]], ...]:
    """The same, and what is written in each field."""
    form, rng = page_form(), np.random.default_rng(_SEED)
    blank = draw_page(form, dpi=300)
    pages = []
    for _ in range(count):
        sheet = fill_page(form, digits("mnist-test"), rng, dpi=300, blank=blank)
        scan = Scan(sheet.grey, sheet.transform, 300)
        degrade(scan, form, ["skew", "scale"], "light", rng)
        data = cv2.imencode(".jpg", scan.grey, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        pages.append((data, sheet.values))
    return tuple(pages)


def page_items(count: int) -> Iterator[Item]:
    """As many pages as asked for: the files again and again."""
    files = page_files()
    for number in range(count):
        yield Item(number, f"scan_{number:06d}.jpg", data=files[number % len(files)])


def read_cells(
    data: bytes,
    form: Form,
    page_number: int = 1,
    size: int = 28,
    filters: Sequence[dict[str, Any]] = (),
    limits: Limits | None = None,
) -> PageCells:
    """From a file's bytes to crops, the path of a worker without a job."""
    page = decode_page(data, 1, limits, form.needs_colour, enough_pixels(form))
    try:
        located = locate(page, form, page_number)
        whole = page.step == 1 or not too_coarse(page, form, page_number, located)
    except ItemError:
        if page.step == 1:
            raise
        whole = False
    if not whole:
        page = decode_page(data, 1, limits, form.needs_colour)
        located = locate(page, form, page_number)
    return cut_page(page, form, page_number, size, filters, located)
