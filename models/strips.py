"""Strips to numbers: the k best strings that a strip may say, with calibrated probabilities.

A strip is a line of handwriting without cells, as ``inkmill.forms.cut.strip`` normalises it. What
is read is a string as a whole, its length included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError, UsageError
from inkmill.models import ctc
from inkmill.models.architectures import stride
from inkmill.models.manifest import REJECT, Manifest
from inkmill.models.weights import Golden, decode_weights

Grey = NDArray[np.uint8]

#: Symbols that a strip reader knows beside the digits. SEPARATOR stands for a point or a comma
#: wherever it is (people write one for the other); DASH for a dash, or two above each other, as
#: they close an amount; CROSS for an X; CURRENCY for a currency sign.
SEPARATOR, DASH, CROSS, CURRENCY = ".", "-", "X", "$"
#: The name under which readers of strips are published, unless another is given.
MODEL = "strips"
#: Most hypotheses that are given for a strip.
MOST_HYPOTHESES = 20


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a strip may say: digits and the symbols above, as written from left to right.

    ``probability`` is calibrated: of all strings given with 0.9, nine in ten are right.
    """

    text: str
    probability: float


class ReadsStrips(Protocol):
    """A reader of strips: ``StripReader``, or a fake of it in tests."""

    def read(self, strips: Sequence[Grey]) -> list[list[Hypothesis]]:
        """The hypotheses of each strip, the most probable first.

        ``strips`` are uint8 (HEIGHT, width), white ink on black, from ``normalise_strip``. For
        each there are at most ``MOST_HYPOTHESES``, each text once and none of them empty; the
        probabilities sum to at most 1. The rest is that of none of these: another string, no
        number at all, letters, something crossed out. Batch in equals batch out, in order.

        Raises UsageError for an array of another shape or type.
        """
        ...


#: Strips are read in batches of these widths and numbers: each shape is compiled once. Most
#: strips are narrow: a number of five digits has some 130 pixels.
WIDTHS, COUNTS = (128, 256, 640), (4, 32)
SHAPES = tuple((count, width) for width in WIDTHS for count in COUNTS)
#: Frames behind a strip's end that still belong to it: the network looks this far.
_BEHIND = 3
#: Below this confidence a frame may change its symbol without a string being read otherwise.
_DECIDED = 0.6
#: How far a frame's probability may differ from the golden set's, as for digits.
_TOLERANCE = {"float32": 2e-3, "bfloat16": 0.25}


class StripReader:
    """A reader of strips that is loaded, compiled and ready: see ``ReadsStrips``.

    ``weights`` is the file that ``manifest`` names; ``precision`` is "float32" or "bfloat16";
    ``threads`` are TensorFlow's and must be given before it has run anything in this process.
    ``shapes`` are (strips, width) in pixels. Raises ModelError for a model that does not read
    strips, or whose files do not fit.
    """

    def __init__(
        self,
        manifest: Manifest,
        weights: bytes,
        *,
        precision: str = "float32",
        threads: int | None = None,
        shapes: Sequence[tuple[int, int]] = SHAPES,
    ) -> None:
        from inkmill.models.runtimes.tensorflow import StripRuntime

        if precision not in _TOLERANCE:
            raise UsageError(
                f"precision is {precision!r}: strips are read in {' or '.join(_TOLERANCE)}"
            )
        if not manifest.reads_strips:
            raise ModelError(
                f"model {manifest.version[:12]} reads single digits, not strips: give a model of "
                "strips, such as the one trained by configs/strips.toml"
            )
        self.manifest = manifest
        self.precision = precision
        self._widths: dict[int, list[int]] = {}
        for count, width in sorted(shapes):
            self._widths.setdefault(width, []).append(count)
        arrays = decode_weights(weights, manifest)
        self._runtime = StripRuntime(manifest, arrays, shapes, precision, threads)

    @property
    def version(self) -> str:
        """The version of the model that is loaded."""
        return self.manifest.version

    def load(self, manifest: Manifest, weights: bytes) -> None:
        """Swap in another version of the same network; nothing is traced again.

        Raises ModelError, and keeps the old one, where the files or the network do not fit. Not
        to be called while ``read`` runs.
        """
        if not self.manifest.same_network(manifest):
            raise ModelError(
                f"model {manifest.version[:12]} has a different network from {self.version[:12]}: "
                "load it with a new StripReader"
            )
        self._runtime.load(decode_weights(weights, manifest))
        self.manifest = manifest

    def read(self, strips: Sequence[Grey]) -> list[list[Hypothesis]]:
        """See ReadsStrips.read."""
        return [self._hypotheses(frames) for frames in self.frames(strips)]

    def frames(self, strips: Sequence[Grey]) -> list[NDArray[np.float64]]:
        """What each frame of each strip says: probabilities, float64 (frames, symbols + 1).

        The last symbol is CTC's blank. Raises UsageError for an array of another shape or type.
        """
        for strip in strips:
            self._check(strip)
        found: list[NDArray[np.float64]] = [np.zeros((0, 0))] * len(strips)
        step = stride(self.manifest.layers)
        for chosen, shape in self._plan([strip.shape[1] for strip in strips]):
            batch = np.zeros((shape[0], self.manifest.input_size, shape[1]), np.uint8)
            for row, at in enumerate(chosen):
                batch[row, :, : strips[at].shape[1]] = strips[at]
            said = self._runtime.run(batch)
            for row, at in enumerate(chosen):
                own = -(-strips[at].shape[1] // step) + _BEHIND
                found[at] = said[row, :own].astype(np.float64)
        return found

    def _check(self, strip: Grey) -> None:
        height, widest = self.manifest.input_size, max(self._widths)
        if strip.ndim != 2 or strip.dtype != np.uint8 or not 0 < strip.shape[1] <= widest:
            raise UsageError(
                f"read needs strips uint8 ({height}, width), at most {widest} px wide: got "
                f"{strip.dtype} {strip.shape}"
            )
        if strip.shape[0] != height:
            raise UsageError(
                f"read needs strips that are {height} px high, as normalise_strip makes them: "
                f"got {strip.shape[0]}"
            )

    def _plan(self, widths: Sequence[int]) -> Iterator[tuple[list[int], tuple[int, int]]]:
        """Batches: the numbers of their strips, and their shape (strips, width).

        A strip's own width decides about that of its batch, so that it is read the same
        whatever else is read with it.
        """
        lowest = 0
        for wide, counts in sorted(self._widths.items()):
            rest = [at for at, width in enumerate(widths) if lowest < width <= wide]
            lowest = wide
            while rest:
                count = min((n for n in counts if n >= len(rest)), default=max(counts))
                yield rest[:count], (count, wide)
                rest = rest[count:]

    def _hypotheses(self, frames: NDArray[np.float64]) -> list[Hypothesis]:
        classes = self.manifest.classes
        none = classes.index(REJECT) if REJECT in classes else -1
        strings = [each for each in ctc.candidates(frames) if each and none not in each]
        exact = ctc.probabilities(frames, strings) if strings else np.zeros(0)
        best = np.argsort(-exact, kind="stable")[:MOST_HYPOTHESES]
        given = ctc.calibrated(exact[best], self.manifest.temperature, self.manifest.floor)
        return [
            Hypothesis("".join(classes[symbol] for symbol in strings[at]), float(probability))
            for at, probability in zip(best.tolist(), given, strict=True)
            if probability > 0
        ]

    def check(self, golden: bytes) -> float:
        """Compare with the golden set stored beside the model, as Predictor.check does.

        Returns the largest difference of a frame's probability. Raises ModelError where the best
        path of a strip changes, or a probability differs too much.
        """
        expected = Golden.decode(golden, self.manifest)
        frames = -(-expected.crops.shape[2] // stride(self.manifest.layers))
        found = np.stack([each[:frames] for each in self.frames(list(expected.crops))])
        difference = float(np.abs(found - expected.probabilities).max())
        changed = found.argmax(axis=2) != expected.probabilities.argmax(axis=2)
        decided = expected.probabilities.max(axis=2) >= _DECIDED
        allowed = _TOLERANCE[self.precision]
        if not np.isfinite(found).all() or (changed & decided).any() or difference > allowed:
            raise ModelError(
                f"model {self.version[:12]} in {self.precision}: {int((changed & decided).sum())} "
                f"frames of its golden set changed, largest difference {difference:.4f} (allowed "
                f"{allowed}): it must not serve here"
            )
        return difference
