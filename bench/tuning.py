"""How much review falls on unseen pages of the same writers after some corrections.

    python -m bench.tuning --out docs/benchmarks/tuning [--steps 300] [--old FOLDER]

Synthetic writers: digits of MNIST's test set, which the shipped model was not trained on, each hand
with a slant, proportions, a pen and a bend of its own, strong enough that the shipped model doubts
them. So many of their digits are taken as corrected, others of the same hands as unseen pages.
Trains as `inkmill train --from shipped --data ...` does, for each number; writes OUT.json, OUT.md
and OUT.png. INKMILL_DATA holds mnist/; the sources of the shipped model that are there, or in
--old, are rehearsed. Some 13 minutes of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter
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
from inkmill.trainer.fine_tuning import STEPS
from inkmill.trainer.measure.metrics import wilson
from inkmill.trainer.publish.calibrate import measure

Grey = NDArray[np.uint8]

#: Writers, digits of theirs that are read as unseen pages, and MNIST's own that stay as they are.
_WRITERS, _UNSEEN, _OLD = 12, 3000, 4000
#: Numbers of corrected digits.
_CORRECTED = (200, 500, 2000)
#: Fields of one cell are accepted from here: the confidence that forms ask for.
_ACCEPTED = 0.99
#: Side of a drawn cell, and of the digit in it, in pixels.
_CELL, _DIGIT = 72, 48
#: Corrected digits on a page.
_PAGE = 8
#: Draws of the bootstrap.
_DRAWS = 2000


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


def written(folder: Path, count: int) -> tuple[list[Sample], list[Sample], list[Sample]]:
    """Digits of the writers that may be corrected, those of unseen pages, and others as found."""
    rng = np.random.default_rng(19)
    hands = [Hand.draw(rng) for _ in range(_WRITERS)]
    digits = [each for each in idx.mnist(folder / "mnist", "mnist").samples if each.part == TEST]
    order = rng.permutation(len(digits)).tolist()
    drawn, others = order[: count + _UNSEEN], order[count + _UNSEEN :][:_OLD]
    samples = [
        Sample(
            hands[n % _WRITERS].write(digits[at].image, rng),
            digits[at].label,
            "hands",
            f"hands[{n}]",
            f"w{n % _WRITERS}",
        )
        for n, at in enumerate(drawn)
    ]
    return samples[:count], samples[count:], [digits[at] for at in others]


def figures(files: ModelFiles, unseen: Sequence[Sample], config: Config) -> dict[str, Any]:
    """What a model reads of unseen pages: right, sent to review, wrong among the accepted."""
    found = measure(Predictor(files.manifest, files.weights), unseen, config)
    writers = np.array([sample.group for sample in (*found.samples, *found.inkless)])
    nothing = np.zeros(len(found.inkless), np.bool_)
    # What has no ink is not read, and goes to review.
    sure = np.concatenate([found.probabilities.max(axis=1) >= _ACCEPTED, nothing])
    right = np.concatenate([found.right, nothing])
    return {
        "right": _figure(right, writers),
        "review": _figure(~sure, writers),
        "wrong": _figure(~right[sure], writers[sure]),
    }


def _figure(hits: NDArray[np.bool_], writers: NDArray[np.str_]) -> dict[str, Any]:
    """A share with its 95 % interval: the wider of Wilson's and of a bootstrap over writers.

    Digits of one hand are alike, so that those of twelve hands say less than as many of as many
    hands (Efron and Tibshirani, An introduction to the bootstrap, 1993).
    """
    names, place = np.unique(writers, return_inverse=True)
    of = np.bincount(place)
    count = np.bincount(place, weights=hits)
    weights = np.random.default_rng(1).multinomial(
        len(names), [1 / len(names)] * len(names), _DRAWS
    )
    shares = (weights @ count) / np.maximum(weights @ of, 1)
    low, high = wilson(int(hits.sum()), len(hits))
    interval = [
        min(low, float(np.quantile(shares, 0.025))),
        max(high, float(np.quantile(shares, 0.975))),
    ]
    return {"count": int(hits.sum()), "of": len(hits), "interval": interval}


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
            # Corrections of a job are grouped by document: here so many digits of one writer.
            writer=np.array(_documents(corrected)),
        )
        source = {"kind": "npz", "path": str(path), "name": "hands", "test": 0.0}
        values, missing = config_from(shipped.manifest, [source], folder)
        print(f"{len(corrected)} corrected, not rehearsed: {', '.join(missing) or 'nothing'}")
        values["training"] |= {"steps": arguments.steps, "batch": arguments.batch}
        values["validation"]["every"] = arguments.steps
        config = Config.parse(values, "bench")
        options = TrainingOptions(folder=Path(place) / "run", data=folder)
        return train(config, MemoryStore(), "tuned", options, Parent(shipped)).files


def _documents(corrected: Sequence[Sample]) -> list[str]:
    """The document of each digit: a writer's digits fill one after the other."""
    written: Counter[str] = Counter()
    names = []
    for sample in corrected:
        names.append(f"{sample.group} page {written[sample.group] // _PAGE}")
        written[sample.group] += 1
    return names


def main() -> None:
    """Measure and write the figures."""
    shipped = pretrained.load()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=shipped.manifest.config["training"]["batch"])
    parser.add_argument("--old", type=Path, help="folder of the data to rehearse, if another")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = data_folder()
    pool, unseen, others = written(folder, max(_CORRECTED))
    config = Config.parse(dict(shipped.manifest.config), "the shipped model's config")
    rows: dict[str, dict[str, Any]] = {}
    for count in (0, *_CORRECTED):
        files = tuned(pool[:count], arguments.old or folder, arguments) if count else shipped
        old = figures(files, others, config)
        rows[str(count)] = {
            **figures(files, unseen, config),
            "others right": old["right"],
            "temperature": files.manifest.temperature,
        }
        print(json.dumps(rows[str(count)]), flush=True)
        _write(rows, Dataset(unseen).digest(), arguments)
    _draw(rows, arguments.out.with_suffix(".png"))


def _write(rows: dict[str, Any], digest: str, arguments: argparse.Namespace) -> None:
    settings = {"steps": arguments.steps, "batch": arguments.batch}
    model = pretrained.load().manifest.version
    record = {**settings, "model": model, "writers": _WRITERS, "unseen": digest, "corrected": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    lines = [
        "| corrected | to review at 0.99 | wrong among the accepted | right | MNIST, right |",
        "| --- | --- | --- | --- | --- |",
    ]
    for count, row in rows.items():
        cells = (_said(row[name]) for name in ("review", "wrong", "right", "others right"))
        lines.append(f"| {int(count):,} | {' | '.join(cells)} |")
    arguments.out.with_suffix(".md").write_text("\n".join(lines) + "\n")


def _said(each: dict[str, Any]) -> str:
    low, high = (f"{100 * end:.1f}" for end in each["interval"])
    return f"{each['count'] / max(1, each['of']):.1%} ({low} to {high}) of {each['of']:,}"


def _draw(rows: dict[str, Any], path: Path) -> None:
    """Review and mistakes by the number of corrected digits, with intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    kinds = (("review", "sent to review at 0.99"), ("wrong", "wrong among the accepted"))
    for panel, (name, title) in zip(axes, kinds, strict=True):
        shares = [100 * row[name]["count"] / max(1, row[name]["of"]) for row in rows.values()]
        ends = np.array([row[name]["interval"] for row in rows.values()]).T * 100
        panel.errorbar(
            range(len(rows)), shares, np.abs(ends - np.array(shares)), marker="o", capsize=4
        )
        panel.set_xticks(range(len(rows)), [f"{int(count):,}" for count in rows])
        panel.set_ylim(bottom=0)
        panel.set_xlabel("corrected digits")
        panel.set_ylabel(f"{title} (%)")
        panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
