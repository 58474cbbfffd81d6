"""P: where the time of an engine goes, step by step, in processor time of one thread.

Processor time and not the clock's, so that neighbours on the host disturb little; the best of
some rounds for each step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from bench.frame import keep, say

T = TypeVar("T")

_ROUNDS = 7
DIGITS, PAGES = 2048, 16


def main(_: float, __: int) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    figures = {"digits": _digits(), "pages": _pages()}
    for kind, steps in figures.items():
        say(f"{kind}: " + ", ".join(f"{name} {value:.1f}" for name, value in steps.items()))
    keep("P", figures)


def _best(work: Callable[[], T], rounds: int = _ROUNDS) -> tuple[T, float]:
    """What a step gives, and the least processor time that it took (seconds)."""
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        result = work()
        best = min(best, time.process_time() - started)
    return result, best


def _predictor() -> Any:
    import cv2

    from inkmill.models import autotune, pretrained
    from inkmill.models.predictor import Predictor
    from inkmill.settings import Settings

    cv2.setNumThreads(1)
    files = pretrained.load()
    precision = autotune.precision_for(
        files.manifest, files.weights, files.golden, Settings().cache_dir, 1
    )
    return Predictor(
        files.manifest, files.weights, precision=precision, threads=1, golden=files.golden
    )


def _digits() -> dict[str, float]:
    """Microseconds an image."""
    import cv2
    import numpy as np

    from bench.material import digit_items
    from inkmill.forms.cut.normalise import normalise
    from inkmill.forms.intake import decode_page
    from inkmill.imagefile.sniff import Limits, read_header
    from inkmill.records.chunks import Chunk, ChunkTable
    from inkmill.worker.engine.compose import Reader
    from inkmill.worker.engine.digits import DigitBatch
    from inkmill.worker.engine.prepare import Recipe

    items, limits, recipe = tuple(digit_items(DIGITS)), Limits(), Recipe(28, ())
    data = Chunk("profile", 0, items).encode()
    files = [item.data for item in items]
    predictor = _predictor()
    steps: dict[str, float] = {}

    def step(name: str, work: Callable[[], T]) -> T:
        result, taken = _best(work)
        steps[name] = taken / DIGITS * 1e6
        return result

    table = step("chunk from Parquet", lambda: ChunkTable.decode(data))
    step("header checks", lambda: [read_header(each, 1, limits) for each in files])
    step(
        "PNG decoding (OpenCV)",
        lambda: [cv2.imdecode(np.frombuffer(each, np.uint8), 0) for each in files],
    )
    pages = [decode_page(each, 1, limits) for each in files]
    step("normalisation", lambda: [normalise(page.grey) for page in pages])

    def fill() -> DigitBatch:
        batch = DigitBatch(table, recipe, limits)
        for number in range(DIGITS):
            batch.read(number, {})
        return batch

    batch, filled = _best(fill)
    known = ("header checks", "PNG decoding (OpenCV)", "normalisation")
    steps["around decoding"] = filled / DIGITS * 1e6 - sum(steps[name] for name in known)
    probabilities = step(f"model, {predictor.precision}", lambda: predictor.predict(batch.crops))
    reader = Reader(predictor.manifest.classes, "ab" * 32, predictor.precision, 0.9)
    step("readings, rows, Parquet", lambda: batch.answer(probabilities, reader))
    return steps


def _pages() -> dict[str, float]:
    """Microseconds a page."""
    import numpy as np

    from bench.material import page_files, page_form, use_kernels
    from inkmill.forms.intake import decode_page
    from inkmill.forms.locate.registration import locate
    from inkmill.forms.reader import cut_page, enough_pixels
    from inkmill.imagefile.sniff import Limits, read_header
    from inkmill.records.chunks import Chunk, ChunkTable, Item
    from inkmill.template.templates import Templates
    from inkmill.worker.engine.compose import Reader
    from inkmill.worker.engine.pages import PageBatch
    from inkmill.worker.engine.prepare import Recipe

    use_kernels()
    files, form, limits, recipe = page_files()[:PAGES], page_form(), Limits(), Recipe(28, ())
    predictor = _predictor()
    steps: dict[str, float] = {}

    def step(name: str, work: Callable[[], T]) -> T:
        result, taken = _best(work, 3)
        steps[name] = taken / PAGES * 1e6
        return result

    step("header checks", lambda: [read_header(each, 1, limits) for each in files])
    enough = enough_pixels(form)
    pages, decoded = _best(lambda: [decode_page(each, 1, limits, False, enough) for each in files])
    steps["JPEG decoding, as fine as needed"] = decoded / PAGES * 1e6 - steps["header checks"]
    step("registration", lambda: [locate(page, form, 1) for page in pages])
    cells, cut = _best(lambda: [cut_page(page, form, 1, 28, ()) for page in pages], 3)
    steps["cutting and normalising 60 cells"] = cut / PAGES * 1e6 - steps["registration"]
    crops = np.concatenate([each.crops for each in cells])
    probabilities = step(f"model, {predictor.precision}", lambda: predictor.predict(crops))
    items = tuple(Item(n, f"{n}.jpg", data=data) for n, data in enumerate(files))
    table = ChunkTable.decode(Chunk("profile", 0, items).encode())
    batch = PageBatch(table, Templates((form,)), recipe, limits)
    for number in range(PAGES):
        batch.read(number, {})
    reader = Reader(predictor.manifest.classes, "ab" * 32, predictor.precision, 0.9)
    step("fields, rules, rows, Parquet", lambda: batch.answer(probabilities, reader))
    return steps
