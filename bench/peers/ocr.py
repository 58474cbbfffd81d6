"""Part B's pages read by an OCR engine, too: processor time for a page, and fields that are right.

    python -m bench.peers.ocr

RapidOCR runs the networks of PP-OCRv4 with ONNX Runtime. It reads whole pages, and pictures of
single fields, cut where Inkmill located them. Of what it reads, digits count; leading zeros do not.
Needs packages beside Inkmill's extra "worker", without what they ask for, since another OpenCV
would overwrite this one: pip install onnxruntime; pip install --no-deps rapidocr-onnxruntime
pyclipper shapely.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.filled import ROOT, Recognizer
from bench.material import page_form, read_cells, use_kernels, written_pages
from inkmill.codes import Status
from inkmill.forms.reader import PageCells

Grey = NDArray[np.uint8]
#: What is read of a page's fields, by name.
Values = Mapping[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.ocr", description=__doc__)
    parser.add_argument("--pages", type=int, default=16)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        engine = importlib.import_module("rapidocr_onnxruntime").RapidOCR()
    except ImportError as error:
        raise SystemExit(
            f"bench: python -m bench.peers.ocr --help says what to install ({error})"
        ) from error
    use_kernels()
    cv2.setNumThreads(1)
    recognizer, form = Recognizer.load(ROOT / "models/pretrained"), page_form()
    pages = written_pages(arguments.pages)
    cells = [read_cells(data, form) for data, _ in pages]
    greys = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) for data, _ in pages]

    def inkmill(number: int) -> Values:
        found = read_cells(pages[number][0], form)
        odds = recognizer.predictor.predict(found.crops)
        return {each.name: each.value for each in recognizer.row(number, found, form, odds).fields}

    sides: dict[str, Callable[[int], Values]] = {
        "Inkmill": inkmill,
        "OCR, whole pages": lambda number: _whole(engine, greys[number], cells[number]),
        "OCR, located fields": lambda number: dict(_fields(engine, greys[number], cells[number])),
    }
    for name, read in sides.items():
        read(0)
        began = time.process_time()
        values = [read(number) for number in range(len(pages))]
        used = (time.process_time() - began) / len(pages)
        right = sum(
            _same(found.get(field, ""), want)
            for found, (_, written) in zip(values, pages, strict=True)
            for field, want in written.items()
        )
        total = sum(len(written) for _, written in pages)
        print(f"{name}: {used * 1e3:,.0f} ms of processor time a page, {right} of {total} right")
    _print_accepted(recognizer, cells, [written for _, written in pages])


def _print_accepted(
    recognizer: Recognizer, cells: list[PageCells], written: list[dict[str, str]]
) -> None:
    """How many fields Inkmill would not show to a person, and how many of them are wrong."""
    accepted = wrong = 0
    for number, (each, want) in enumerate(zip(cells, written, strict=True)):
        odds = recognizer.predictor.predict(each.crops)
        for field in recognizer.row(number, each, page_form(), odds).fields:
            if field.status is Status.OK:
                accepted += 1
                wrong += not _same(field.value, want[field.name])
    print(f"Inkmill accepts {accepted}, {wrong} of them wrong")


def _whole(engine: Any, grey: Grey, cells: PageCells) -> Values:
    """Texts found on the page, given to the fields in whose boxes their middles lie."""
    texts, _ = engine(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    found: dict[str, list[tuple[float, str]]] = {}
    for corners, text, *_ in texts or ():
        x, y = np.mean(corners, axis=0).tolist()
        for name, (left, top, right, bottom) in cells.boxes.items():
            if left <= x <= right and top <= y <= bottom:
                found.setdefault(name, []).append((x, text))
    return {
        name: _digits("".join(text for _, text in sorted(each))) for name, each in found.items()
    }


def _fields(engine: Any, grey: Grey, cells: PageCells) -> Iterator[tuple[str, str]]:
    for name, (left, top, right, bottom) in cells.boxes.items():
        picture = cv2.cvtColor(grey[top:bottom, left:right], cv2.COLOR_GRAY2BGR)
        texts, _ = engine(picture, use_det=False, use_cls=False)
        yield name, _digits("".join(str(text) for text, *_ in texts or ()))


def _same(value: str, written: str) -> bool:
    return value.lstrip("0") == written.lstrip("0")


def _digits(text: str) -> str:
    return "".join(each for each in text if each.isdigit())


if __name__ == "__main__":
    main()
