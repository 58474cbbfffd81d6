"""How many items a chunk has: half a second of an engine's work, within bounds."""

from __future__ import annotations

from dataclasses import dataclass

#: An engine's work on one chunk (seconds). Each chunk costs its worker and the servers some 10 ms
#: besides, which a longer one would spread over more items; but a chunk is also what is read again
#: after a worker dies, and what a chunk of another large job waits for.
SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Bounds:
    """Items in a chunk: as long as no speed is known, at least, and at most. ``step`` divides
    sizes: what fills the model's batches."""

    usual: int
    least: int
    most: int
    step: int


#: Digit images, and pages of a form. Below the least, what a chunk costs besides would show; an
#: image of 28 x 28 is some 400 bytes, so that the most is 3 MB. Pages are bounded by their bytes
#: besides (`inkmill.producer.inputs.pack`).
DIGITS = Bounds(usual=2048, least=256, most=8192, step=256)
PAGES = Bounds(usual=8, least=2, most=32, step=1)


def bounds(form: bool) -> Bounds:
    """The bounds for pages of a form, or for digit images."""
    return PAGES if form else DIGITS


def chunk_size(form: bool, speed: float) -> int:
    """Items of a chunk, where an engine reads ``speed`` items per second; 0 for unknown."""
    within = bounds(form)
    if speed <= 0:
        return within.usual
    wanted = min(max(speed * SECONDS, within.least), within.most)
    return int(wanted / within.step) * within.step
