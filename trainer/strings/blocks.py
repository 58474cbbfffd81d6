"""Blocks of training strips: each depends only on the config, its number and the material."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.forms.cut.strip import DIGIT_HEIGHT, HEIGHT, normalise_strip
from inkmill.models.manifest import REJECT
from inkmill.models.strips import CROSS, DASH, SEPARATOR
from inkmill.trainer.config import Config
from inkmill.trainer.crops import negatives
from inkmill.trainer.crops.stamps import BOX, skeletons
from inkmill.trainer.strings import paper, rejects, texts
from inkmill.trainer.strings.compose import SHEET, Habit, Writer
from inkmill.trainer.strings.material import MOST_SYMBOLS, NOTHING, StringMaterial, strip
from inkmill.trainer.strings.rejects import Written

Grey = NDArray[np.uint8]
Random = np.random.Generator

#: Steps that share a block.
STEPS = 16
#: Widths of batches are multiples of this, so that few shapes are allocated.
_WIDTHS = 32
#: A strip that normalisation finds empty, though it is not, is written again, at most this often.
_TRIES = 20
#: Share of rejects that are a number struck out, letters, and a number with a reject within it.
_STRUCK, _LETTERS = 0.35, 0.75
#: Symbols that need no stamp, or whose stamp can be drawn.
_DRAWN_HERE = (SEPARATOR, DASH, REJECT, texts.GAP)
#: Share of rejects that are drawn: scribbles, blots, digits written over.
_DRAWN = 0.3


@dataclass(frozen=True, slots=True)
class StringBlock:
    """Strips for ``STEPS`` steps: uint8 (n, HEIGHT, widest), black at the right of narrower ones.

    ``labels`` int32 (n, MOST_SYMBOLS) are classes, filled up with ``NOTHING``; ``widths`` (n,).
    """

    crops: Grey
    labels: NDArray[np.int32]
    widths: NDArray[np.int64]

    def order(self, batch: int, rng: Random) -> NDArray[np.int64]:
        """Strips in another order, those of one batch of about the same width."""
        near = np.argsort(self.widths + rng.normal(0, 8, len(self.widths)), kind="stable")
        batches = np.split(near, range(batch, len(near), batch))
        return np.concatenate([batches[at] for at in rng.permutation(len(batches))])

    def take(self, chosen: NDArray[np.int64]) -> tuple[Grey, NDArray[np.int32]]:
        """A batch: its strips, as wide as the widest needs, and their labels."""
        wide = -(-int(self.widths[chosen].max()) // _WIDTHS) * _WIDTHS
        return self.crops[chosen, :, :wide], self.labels[chosen]


def packed(made: Sequence[tuple[Grey, Sequence[int]]]) -> StringBlock:
    """Strips, uint8 (HEIGHT, width), and the classes of their symbols as one block."""
    widths = np.array([picture.shape[1] for picture, _ in made], np.int64)
    crops = np.zeros((len(made), HEIGHT, -(-int(widths.max()) // _WIDTHS) * _WIDTHS), np.uint8)
    labels = np.full((len(made), MOST_SYMBOLS), NOTHING, np.int32)
    for at, (picture, symbols) in enumerate(made):
        crops[at, :, : picture.shape[1]] = picture
        labels[at, : len(symbols)] = symbols
    return StringBlock(crops, labels, widths)


class StringBlockMaker:
    """Makes blocks of one config from one material."""

    def __init__(self, config: Config, material: StringMaterial) -> None:
        self.config, self.material = config, material
        self.strings = config.strings
        self._writer = Writer(config.augmentation, config.training.seed)
        labels = np.asarray(material.labels)
        every = {
            name: np.flatnonzero(labels == number) for number, name in enumerate(config.classes)
        }
        self._every = {name: found for name, found in every.items() if len(found)}
        self._hands: dict[int, dict[str, list[int]]] = {}
        self._digits = negatives.DigitStamps(
            material.stamps, {name: at for name, at in self._every.items() if name.isdigit()}
        )

    def make(self, number: int) -> StringBlock:
        """The block with this number."""
        total = STEPS * self.config.training.batch
        rng = np.random.default_rng([self.config.training.seed, 1, number])
        made = [self.strip(kind, rng) for kind in self._kinds(total)]
        block = packed(made)
        # The first order is that of the block, too.
        order = block.order(self.config.training.batch, rng)
        return StringBlock(block.crops[order], block.labels[order], block.widths[order])

    def _kinds(self, total: int) -> list[str]:
        """What each strip of a block is."""
        shares = self.config.negatives
        counts = {"empty": shares.blank, REJECT: shares.reject, "mark": shares.marks}
        if len(self.material.widths):
            counts["whole"] = self.strings.whole
        kinds = [kind for kind, share in counts.items() for _ in range(round(total * share))]
        other = "composed" if self.material.hand_weights.any() else "whole"
        return kinds + [other] * (total - len(kinds))

    def strip(self, kind: str, rng: Random) -> tuple[Grey, list[int]]:
        """A strip as the network sees it, and its classes; ``kind`` is one of ``_kinds``."""
        for _ in range(_TRIES):
            written = self._written(kind, rng)
            grey = self.scanned(written, rng)
            picture = normalise_strip(grey)
            if picture is not None:
                return picture, [self.config.classes.index(each) for each in written.symbols]
            if kind == "empty":
                break
        return np.zeros((HEIGHT, HEIGHT), np.uint8), []

    def scanned(self, written: Written, rng: Random) -> Grey:
        """A written sheet as a scanned strip, dark on light."""
        amount = self.config.augmentation
        ink = paper.cut_out(written.ink, rng).copy()
        if self._digits.by_label:
            paper.neighbours(ink, lambda: self._digits.draw(rng), amount, rng)
        paper.rules(ink, amount, rng)
        return paper.scan(ink, amount, rng)

    def _written(self, kind: str, rng: Random) -> Written:
        if kind == "empty":
            return rejects.empty(rng)
        if kind == "whole":
            return self._whole(rng)
        if kind == "mark":
            return self._mark(rng)
        if kind != REJECT:
            return self.number(rng)
        chance = rng.random()
        if chance < _STRUCK:
            number = self.number(rng, plain=True)
            return rejects.struck(number, lambda: self.number(rng, plain=True), rng)
        if chance < _LETTERS:
            count = 1 + int(rng.integers(0, 8))
            return self._signs([REJECT] * count, rng)
        digits = list("0123456789")
        drawn = [digits[at] for at in rng.integers(10, size=int(rng.integers(1, 7)))]
        drawn[rng.integers(len(drawn))] = REJECT
        return self._signs(drawn, rng)

    def number(self, rng: Random, plain: bool = False) -> Written:
        """A number, or an amount, in one hand."""
        hand = int(rng.choice(len(self.material.hand_weights), p=self.material.hand_weights))
        own = self._digits_of(hand)
        digits = "".join(own)
        compose = texts.number
        if not plain and rng.random() < self.strings.amounts:
            compose = texts.amount
        text = compose(digits, self.strings.most, rng)
        chosen = [own[each][rng.integers(len(own[each]))] if each in own else None for each in text]
        return self._write(list(text), chosen, rng)

    def _digits_of(self, hand: int) -> dict[str, list[int]]:
        """A hand's digits, each with the numbers of its stamps; found once."""
        if hand not in self._hands:
            first, end = self.material.hands[hand : hand + 2].tolist()
            found: dict[str, list[int]] = {}
            for at, label in enumerate(self.material.labels[first:end].tolist(), first):
                if self.config.classes[label].isdigit():
                    found.setdefault(self.config.classes[label], []).append(at)
            self._hands[hand] = dict(sorted(found.items()))
        return self._hands[hand]

    def _signs(self, symbols: list[str], rng: Random) -> Written:
        """Any characters, side by side: letters, digits with something else among them."""
        drawn = [self._any(symbol, rng) for symbol in symbols]
        return self._write(symbols, drawn, rng)

    def _any(self, symbol: str, rng: Random) -> int | None:
        """A stamp of a symbol by anybody; None where it is to be drawn."""
        found = self._every.get(symbol)
        if found is None or (symbol == REJECT and rng.random() < _DRAWN):
            return None
        return int(found[rng.integers(len(found))])

    def _write(self, symbols: list[str], chosen: list[int | None], rng: Random) -> Written:
        """Symbols with the numbers of their stamps; those without are drawn."""
        habit = Habit.draw(self.strings, self.config.augmentation.redraw, rng)
        # What nobody has written and this project does not draw is left out.
        able = [
            (symbol, at)
            for symbol, at in zip(symbols, chosen, strict=True)
            if at is not None or symbol in _DRAWN_HERE or symbol in self._every
        ]
        text, stamps, first = "", list[Grey | None](), 0
        while first < len(able):
            symbol, at = able[first]
            run = _zeros(able, first) if habit.running else 0
            if habit.running and run > 1:
                stamps.append(habit.running.zeros(run, rng))
            else:
                stamps.append(self._stamp(symbol, at, habit, rng))
            text += symbol if len(symbol) == 1 else "?"
            first += max(1, run)
        ink = self._writer.write(text, stamps, habit, rng)
        return Written(ink, [symbol for symbol, _ in able if symbol != texts.GAP])

    def _stamp(self, symbol: str, at: int | None, habit: Habit, rng: Random) -> Grey | None:
        """One symbol's stamp, the one with this number if it is given; None if it needs none."""
        if habit.running and (own := habit.running.digit(symbol, rng)) is not None:
            return own
        if symbol in (SEPARATOR, DASH, texts.GAP):
            return None
        if at is None and symbol != REJECT:
            at = self._any(symbol, rng)
        if at is None:
            ink = negatives.draw_reject(self._digits, rng, self.config.marks)
            return _unpacked(skeletons(ink[None])[0]) if habit.pen else ink
        if habit.pen:
            return _unpacked(self.material.skeletons[at])
        return np.asarray(self.material.stamps[at])

    def _mark(self, rng: Random) -> Written:
        """A mark for none: a cross or a dash, as high or wide as the strip."""
        mark = self.config.marks[rng.integers(len(self.config.marks))]
        written = self._any(mark, rng) if rng.random() < 0.5 else None
        ink = negatives.draw_mark(mark, self._digits, rng)
        if written is not None:
            ink = np.asarray(self.material.stamps[written])
        stretch = rng.uniform(0.8, 4 if mark == DASH else 2.5)
        size = (round(ink.shape[1] * stretch), ink.shape[0])
        sheet = np.zeros((SHEET, size[0] + 40), np.uint8)
        top = (SHEET - ink.shape[0]) // 2
        sheet[top : top + ink.shape[0], 20 : 20 + size[0]] = cv2.resize(ink, size)
        return Written(sheet, [CROSS if mark == CROSS else DASH])

    def _whole(self, rng: Random) -> Written:
        """A whole strip, slanted, stretched, with a thicker or thinner pen."""
        number = int(rng.choice(len(self.material.strip_weights), p=self.material.strip_weights))
        ink = strip(self.material, number)
        scale = BOX / DIGIT_HEIGHT
        habit = Habit.draw(self.strings, 0.0, rng)
        slant = habit.slant / 2
        height, width = SHEET, round(ink.shape[1] * scale * habit.aspect) + SHEET
        matrix = np.array(
            [
                [scale * habit.aspect, -slant * scale, SHEET / 2 + slant * SHEET / 2],
                [0, scale, SHEET / 2 - scale * HEIGHT / 2],
            ]
        )
        sheet = np.asarray(cv2.warpAffine(ink, matrix, (width, height)), np.uint8)
        chance = rng.random()
        if chance < 0.3:
            sheet = np.asarray(cv2.dilate(sheet, np.ones((2, 2), np.uint8)), np.uint8)
        elif chance < 0.45:
            sheet = np.asarray(cv2.erode(sheet, np.ones((2, 2), np.uint8)), np.uint8)
        labels = [label for label in self.material.texts[number].tolist() if label != NOTHING]
        return Written(sheet, [self.config.classes[label] for label in labels])


def _zeros(able: Sequence[tuple[str, int | None]], first: int) -> int:
    """How many zeros follow each other from here on."""
    return next(
        (at - first for at in range(first, len(able)) if able[at][0] != "0"), len(able) - first
    )


def _unpacked(skeleton: NDArray[np.uint8]) -> Grey:
    return np.unpackbits(skeleton, axis=-1) * np.uint8(255)
