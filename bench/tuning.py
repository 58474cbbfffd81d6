"""How much review falls on unseen pages of the same writers after some corrections.

    python -m bench.tuning --out docs/benchmarks/tuning [--steps 300]

Synthetic writers: digits of MNIST's test set, which the shipped model was not trained on, each hand
with a slant, proportions, a pen and a bend of its own, strong enough that the shipped model doubts
them. So many of their digits are taken as corrected, others of the same hands as unseen pages.
Trains with `inkmill train --from shipped`'s config for each number; writes OUT.json and OUT.md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.material import data_folder
from inkmill.models import pretrained
from inkmill.models.predictor import Predictor
from inkmill.models.weights import ModelFiles
from inkmill.trainer.config import Config
from inkmill.trainer.data import idx
from inkmill.trainer.data.samples import TEST, Dataset, Sample
from inkmill.trainer.measure.metrics import Share
from inkmill.trainer.publish.finish import measure

Grey = NDArray[np.uint8]

#: Writers, and digits of theirs that are read as unseen pages.
_WRITERS, _UNSEEN = 12, 3000
#: Numbers of corrected digits.
_CORRECTED = (200, 500, 2000)
#: Fields of one cell are accepted from here: the confidence that forms ask for.
_ACCEPTED = 0.99
#: Side of a drawn cell, and of the digit in it, in pixels.
_CELL, _DIGIT = 72, 48


@dataclass(frozen=True, slots=True)
class Hand:
    """How one writer writes: an affine map, a bend, a pen's width in pixels, and ink's grey."""

    affine: NDArray[np.float64]
    bend: NDArray[np.float32]
    pen: int
    ink: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Hand:
        slant = rng.choice([-1, 1]) * rng.uniform(0.35, 0.75)
        aspect, turn = np.exp(rng.uniform(-0.35, 0.35)), rng.normal(0, 0.12)
        cos, sin = np.cos(turn), np.sin(turn)
        matrix = np.array([[cos, -sin], [sin, cos]]) @ [[aspect, slant], [0, 1 / aspect]]
        centre = np.full(2, _CELL / 2)
        affine = np.column_stack([matrix, centre - matrix @ centre])
        # A smooth field that is the same for all digits of this hand.
        coarse = rng.normal(0, 3.0, (4, 4, 2)).astype(np.float32)
        bend = cv2.resize(coarse, (_CELL, _CELL), interpolation=cv2.INTER_CUBIC)
        return cls(affine, np.asarray(bend, np.float32), int(rng.integers(-1, 4)), 90)

    def write(self, digit: Grey, rng: np.random.Generator) -> Grey:
        """A digit, uint8 (28, 28), light on dark, as a cell of this hand: dark on paper."""
        margin = (_CELL - _DIGIT) // 2
        large = cv2.resize(digit, (_DIGIT, _DIGIT), interpolation=cv2.INTER_CUBIC)
        ink = cv2.copyMakeBorder(large, *[margin] * 4, cv2.BORDER_CONSTANT, value=(0,))
        rows, columns = np.mgrid[0:_CELL, 0:_CELL].astype(np.float32)
        ink = cv2.warpAffine(ink, self.affine, (_CELL, _CELL))
        ink = cv2.remap(
            ink, columns + self.bend[..., 0], rows + self.bend[..., 1], cv2.INTER_LINEAR
        )
        if self.pen:
            size = (1 + abs(self.pen), 1 + abs(self.pen))
            brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size)
            ink = cv2.dilate(ink, brush) if self.pen > 0 else cv2.erode(ink, brush)
        paper = 235 + rng.normal(0, 4, ink.shape)
        return np.asarray((paper - ink / 255.0 * (235 - self.ink)).clip(0, 255), np.uint8)


def written(folder: Path, count: int) -> tuple[list[Sample], list[Sample]]:
    """Digits of the writers: those that may be corrected, and those of unseen pages."""
    rng = np.random.default_rng(19)
    hands = [Hand.draw(rng) for _ in range(_WRITERS)]
    digits = [each for each in idx.mnist(folder / "mnist", "mnist").samples if each.part == TEST]
    order = rng.permutation(len(digits))[: count + _UNSEEN]
    samples = [
        Sample(
            hands[n % _WRITERS].write(digits[at].image, rng),
            digits[at].label,
            "hands",
            f"hands[{n}]",
            f"w{n % _WRITERS}",
        )
        for n, at in enumerate(order.tolist())
    ]
    return samples[:count], samples[count:]


def figures(files: ModelFiles, unseen: Sequence[Sample], config: Config) -> dict[str, Any]:
    """What a model reads of unseen pages: right, sent to review, wrong among the accepted."""
    found = measure(Predictor(files.manifest, files.weights), unseen, config)
    sure = found.probabilities.max(axis=1) >= _ACCEPTED
    review = Share(int((~sure).sum()) + len(found.inkless), found.share.total)
    wrong = Share(int((sure & ~found.right).sum()), int(sure.sum()))
    return {
        name: {"count": each.right, "of": each.total, "interval": list(each.interval)}
        for name, each in (("right", found.share), ("review", review), ("wrong", wrong))
    }


def tuned(corrected: Sequence[Sample], folder: Path, arguments: argparse.Namespace) -> ModelFiles:
    """The shipped model, continued on corrected digits and on the old data below a folder."""
    from inkmill.backends.store import MemoryStore
    from inkmill.trainer.fine_tuning import Parent, config_from
    from inkmill.trainer.loop import TrainingOptions
    from inkmill.trainer.train import train

    shipped = pretrained.load()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "hands.npz"
        np.savez(
            path,
            images=np.stack([sample.image for sample in corrected]),
            labels=np.array([int(sample.label) for sample in corrected]),
        )
        source = {"kind": "npz", "path": str(path), "name": "hands", "test": 0.0}
        values, missing = config_from(shipped.manifest, [source], folder)
        print(f"{len(corrected)} corrected, not rehearsed: {', '.join(missing) or 'nothing'}")
        values["training"] |= {"steps": arguments.steps, "batch": arguments.batch}
        values["validation"]["every"] = arguments.steps
        config = Config.parse(values, "bench")
        options = TrainingOptions(folder=Path(place) / "run", data=folder)
        return train(config, MemoryStore(), "tuned", options, Parent(shipped)).files


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--old", type=Path, help="folder of the data to rehearse, if another")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = data_folder()
    pool, unseen = written(folder, max(_CORRECTED))
    shipped = pretrained.load()
    config = Config.parse(dict(shipped.manifest.config), "the shipped model's config")
    rows = {"0": figures(shipped, unseen, config)}
    for count in _CORRECTED:
        files = tuned(pool[:count], arguments.old or folder, arguments)
        rows[str(count)] = figures(files, unseen, config)
        print(json.dumps(rows[str(count)]))
        _write(rows, Dataset(unseen).digest(), arguments)


def _write(rows: dict[str, Any], digest: str, arguments: argparse.Namespace) -> None:
    settings = {"steps": arguments.steps, "batch": arguments.batch}
    record = {**settings, "writers": _WRITERS, "unseen": digest, "corrected": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    head = "| corrected digits | right | to review at 0.99 | wrong among the accepted |"
    lines = [head, "| --- | --- | --- | --- |"]
    for count, row in rows.items():
        cells = (_said(row[name]) for name in ("right", "review", "wrong"))
        lines.append(f"| {count} | {' | '.join(cells)} |")
    arguments.out.with_suffix(".md").write_text("\n".join(lines) + "\n")


def _said(each: dict[str, Any]) -> str:
    low, high = each["interval"]
    return f"{each['count'] / max(1, each['of']):.2%} ({low:.2%} to {high:.2%}) of {each['of']}"


if __name__ == "__main__":
    main()
