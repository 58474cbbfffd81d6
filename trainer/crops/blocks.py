"""Blocks of training crops: each depends only on the config, its number and the material.

So a run that resumes at any step, with any number of processes, gets the same crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.normalise import normalise
from inkmill.models.manifest import BLANK, REJECT
from inkmill.trainer.config import Config
from inkmill.trainer.crops import augment, negatives, paper, square
from inkmill.trainer.crops.augment import Warper
from inkmill.trainer.crops.material import Material
from inkmill.trainer.crops.stamps import SIDE

Grey = NDArray[np.uint8]
Random = np.random.Generator

#: Steps that share a block: enough to amortise overhead, few enough to start soon.
STEPS = 16
#: A negative that normalisation finds empty is drawn again, at most this often.
_TRIES = 20
#: Size of a digit on a form, relative to its stamp.
_ON_CELL = 0.8


@dataclass(frozen=True, slots=True)
class Block:
    """Crops uint8 (n, size, size) and labels int32 (n,), for ``STEPS`` steps."""

    crops: Grey
    labels: NDArray[np.int32]

    def order(self, _: int, rng: Random) -> NDArray[np.int64]:
        """Another order of the crops."""
        return rng.permutation(len(self.labels))

    def take(self, chosen: NDArray[np.int64]) -> tuple[Grey, NDArray[np.int32]]:
        """A batch: its crops and labels."""
        return self.crops[chosen], self.labels[chosen]


class BlockMaker:
    """Makes blocks of one config from one material."""

    def __init__(self, config: Config, material: Material) -> None:
        self.config = config
        self.material = material
        self.size = config.input_size
        self._warp_crop = Warper.make(self.size, config.training.seed)
        self._warp_cell = Warper.make(SIDE, config.training.seed)
        usual = config.augmentation.cells
        self._cells = [usual if source.cells is None else source.cells for source in config.sources]
        usual = config.augmentation.redraw
        self._redraw = [
            usual if source.redraw is None else source.redraw for source in config.sources
        ]
        labels = np.asarray(material.labels)
        self._members = [
            [np.flatnonzero(mine == label) for label in np.unique(mine)]
            for mine in np.split(labels, material.starts[1:-1])
        ]
        self._digits = negatives.DigitStamps(
            material.stamps,
            {
                name: np.flatnonzero(labels == number)
                for number, name in enumerate(config.classes)
                if len(material.stamps) and name.isdigit()
            },
        )

    def make(self, number: int) -> Block:
        """The block with this number."""
        total = STEPS * self.config.training.batch
        rng = np.random.default_rng([self.config.training.seed, 1, number])
        drawn = self._drawn(total)
        chosen = self._choose(number, total - len(drawn))
        crops = np.empty((total, self.size, self.size), np.uint8)
        labels = np.empty(total, np.int32)
        labels[: len(chosen)] = self.material.labels[chosen]
        if self.config.augmentation.active:
            for at, index in enumerate(chosen):
                crops[at] = self.digit(int(index), rng)
        else:
            crops[: len(chosen)] = self.material.crops[chosen]
        for at, kind in enumerate(drawn, len(chosen)):
            crops[at] = self.negative(kind, rng)
            labels[at] = self.config.classes.index(kind)
        order = np.random.default_rng([self.config.training.seed, 5, number]).permutation(total)
        return Block(crops[order], labels[order])

    def _drawn(self, total: int) -> list[str]:
        """The class of each crop of a block that is drawn instead of taken from a sample."""
        shares, marks = self.config.negatives, self.config.marks
        counts = {BLANK: round(total * shares.blank), REJECT: round(total * shares.reject)}
        counts |= {mark: round(total * shares.marks / len(marks)) for mark in marks}
        return [kind for kind, count in counts.items() for _ in range(count)]

    def _choose(self, number: int, total: int) -> NDArray[np.int64]:
        """The samples of a block: each source in its own shuffled epochs, by its weight."""
        edges = np.round(np.cumsum(self.material.weights) * total).astype(int)
        counts = np.diff(np.concatenate([[0], edges]))
        chosen = [
            self._stream(source, number * int(count), int(count))
            for source, count in enumerate(counts)
        ]
        return np.concatenate(chosen)

    def _stream(self, source: int, start: int, count: int) -> NDArray[np.int64]:
        """Samples ``start`` to ``start + count`` of a source's endless order."""
        first = int(self.material.starts[source])
        size = int(self.material.starts[source + 1]) - first
        if self.config.training.balance != "sampling" or not size:
            return first + self._shuffled(size, (source,), start, count)
        # The classes in turn, each in shuffled epochs of its own.
        classes = self._members[source]
        parts = []
        for turn, members in enumerate(classes):
            begin, end = (-(-(place - turn) // len(classes)) for place in (start, start + count))
            chosen = self._shuffled(len(members), (source, turn), begin, end - begin)
            parts.append(first + members[chosen])
        return np.concatenate(parts)

    def _shuffled(
        self, size: int, stream: tuple[int, ...], start: int, count: int
    ) -> NDArray[np.int64]:
        """Places ``start`` to ``start + count`` of shuffled epochs of ``size`` numbers."""
        source, *turn = stream
        parts = []
        while count > 0:
            epoch, at = divmod(start, size)
            rng = np.random.default_rng([self.config.training.seed, 2, source, epoch, *turn])
            part = rng.permutation(size)[at : at + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def digit(self, index: int, rng: Random) -> Grey:
        """An augmented sample as a crop."""
        amount = self.config.augmentation
        source = int(np.searchsorted(self.material.starts, index, "right")) - 1
        if rng.random() < self._cells[source]:
            crop = self.cell_crop(self._ink(index, source, rng), rng)
            if crop is not None:
                return crop
        crop = augment.crop_out(np.asarray(self.material.crops[index]), amount, rng)
        crop = self._warp_crop.warp(crop, amount, rng)
        return augment.tone(crop, amount, rng)

    def _ink(self, index: int, source: int, rng: Random) -> Grey:
        """A sample's ink, warped, with its own or another pen; or its digit, drawn square."""
        amount = self.config.augmentation
        skeleton: Grey | None = None
        if amount.square and rng.random() < amount.square:
            label = self.config.classes[self.material.labels[index]]
            skeleton = square.skeleton(label, rng) if label.isdigit() else None
        elif rng.random() < self._redraw[source]:
            skeleton = np.unpackbits(self.material.skeletons[index], axis=-1) * np.uint8(255)
        if skeleton is not None:
            return augment.redraw(self._warp_cell.warp(skeleton, amount, rng, _ON_CELL), rng)
        ink = augment.crop_out(np.asarray(self.material.stamps[index]), amount, rng)
        ink = self._warp_cell.warp(ink, amount, rng, _ON_CELL)
        return augment.stroke(ink, amount, rng)

    def cell_crop(self, ink: Grey, rng: Random) -> Grey | None:
        """Ink, uint8 (64, 64), drawn on a cell, scanned and normalised; None if it was lost."""
        cell = self.cell(ink, rng)
        return normalise(cell, self.size, self.config.filters)

    def cell(self, ink: Grey, rng: Random) -> Grey:
        """Ink, uint8 (64, 64), as a scanned cell, dark on light."""
        amount = self.config.augmentation
        field = self._warp_cell.fields[rng.integers(len(self._warp_cell.fields)), 0]
        ink = augment.pressure(ink, amount, field, rng).copy()
        paper.break_up(ink, amount, rng)
        if len(self.material.stamps):
            paper.neighbour(ink, self._digits.draw(rng), amount, rng)
        paper.lines(ink, amount, rng)
        paper.specks(ink, amount, rng)
        return paper.scan(ink, field, amount, rng)

    def negative(self, kind: str, rng: Random) -> Grey:
        """A crop of the class blank or reject, or of a mark for none."""
        for _ in range(_TRIES):
            ink = self._negative_ink(kind, rng)
            if kind != BLANK:
                ink = self._warp_cell.warp(ink, self.config.augmentation, rng, _ON_CELL)
            crop = self.cell_crop(ink, rng)
            if crop is not None:
                return crop
        return np.zeros((self.size, self.size), np.uint8)

    def _negative_ink(self, kind: str, rng: Random) -> Grey:
        if kind == BLANK:
            return negatives.draw_blank(self._digits, rng)
        if kind == REJECT:
            return negatives.draw_reject(self._digits, rng, self.config.marks)
        return negatives.draw_mark(kind, self._digits, rng)
