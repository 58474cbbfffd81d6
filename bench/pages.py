"""B: throughput of A4 pages at 300 dpi with 60 cells, against the bare loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import bare, pipeline
from bench.frame import in_turn
from bench.material import page_form, page_items


def main(seconds: float, repeats: int) -> None:
    """Each side for about so many seconds, so often."""
    with pipeline.servers() as running:
        rate = bare.processes("pages", 2, 5.0)["rate"]  # about as much for Inkmill to do
        items = page_items(int(rate * seconds))
        record = pipeline.upload(running, "bench-b", items, page_form(), rate / 2)
        # Some chunks for each engine, which loads its kernels at the first page.
        first = pipeline.upload(running, "bench-b-first", page_items(160), page_form(), rate / 2)

        sides: dict[str, Callable[[], dict[str, Any]]] = {
            "bare loop, 2 processes": lambda: bare.processes("pages", 2, seconds),
            "Inkmill, 2 engines": pipeline.side(running, record, 2, first),
            "bare loop, 1 process": lambda: bare.processes("pages", 1, seconds),
            "Inkmill, 1 engine": pipeline.side(running, record, 1, first),
        }
        in_turn("B", seconds, sides, repeats)
