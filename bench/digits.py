"""A: throughput of digit images, against the bare loop and what people would use instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import bare, peers, pipeline
from bench.frame import in_turn
from bench.material import digit_items


def main(seconds: float, repeats: int) -> None:
    """Each side for about so many seconds, so often."""
    with pipeline.servers() as running:
        rate = bare.processes("digits", 2, 5.0)["rate"]  # about as much for Inkmill to do
        items = digit_items(int(rate * seconds))
        record = pipeline.upload(running, "bench-a", items, speed=rate / 2)

        sides: dict[str, Callable[[], dict[str, Any]]] = {
            "bare loop, 2 processes": lambda: bare.processes("digits", 2, seconds),
            "Inkmill, 2 engines": pipeline.side(running, record, 2),
            **peers.sides(running, seconds),
            "bare loop, 2 threads": lambda: bare.threads("digits", 2, seconds),
            "Inkmill, 1 engine": pipeline.side(running, record, 1),
            "bare loop, 1 process": lambda: bare.processes("digits", 1, seconds),
        }
        in_turn("A", seconds, sides, repeats)
