"""Numbers without cells, read as strips: by length, by writer, on printed ground, and how fast.

    python -m bench.strips --out docs/benchmarks/strips

Strips composed of digits by writers that the model was not trained on, UNIPEN's strings of such
writers, and amounts over printed ground, which no model was trained on. Writes OUT.json and OUT.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.filled import ROOT
from bench.material import data_folder
from inkmill.cli.model_argument import read_folder
from inkmill.models.predictor import Predictor
from inkmill.models.pretrained import load
from inkmill.models.strips import StripReader
from inkmill.models.weights import ModelFiles
from inkmill.trainer.config import Config
from inkmill.trainer.data import readers
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.data.split import split
from inkmill.trainer.data.strips import whole_strips
from inkmill.trainer.measure.evaluate_strings import only_digits
from inkmill.trainer.measure.metrics import reliability_of
from inkmill.trainer.measure.strings import (
    CERTAIN,
    LabelledStrips,
    MeasuredStrips,
    composed,
    measure,
    whole,
)
from inkmill.trainer.settings.sources import Source

#: Strips composed of each source of digits, and of rejects.
_COMPOSED, _REJECTS = 4000, 2000
#: Probabilities at which strips are accepted.
_LEVELS = (0.9, 0.95, CERTAIN, 0.995)


def held_out(config: Config) -> dict[str, list[Sample]]:
    """The test samples of a training, by source."""
    found: dict[str, list[Sample]] = {}
    for sample in split(readers.load(config, data_folder()).samples, config).test:
        found.setdefault(sample.source, []).append(sample)
    return found


def amounts(classes: tuple[str, ...]) -> LabelledStrips:
    """The amounts over printed ground; their texts have digits only."""
    folder = data_folder() / "forms/amount_strips"
    source = Source(kind="strips", path="labels.csv", images="images", label_column="value")
    found = whole_strips(source, folder / "labels.csv", "amounts")
    return whole(found.samples, classes)


def figures(measured: MeasuredStrips) -> dict[str, Any]:
    """What is reported of a set."""
    first = np.array([each.probability for each in measured.first])
    right, share = measured.right, measured.share
    return {
        "strips": share.total,
        "right": share.right,
        "interval": list(share.interval),
        "by_length": {name: [s.right, s.total] for name, s in measured.by_length().items()},
        "calibration_error": reliability_of(first, right).error,
        "levels": [
            [level, int((first >= level).sum()), int(((first >= level) & ~right).sum())]
            for level in _LEVELS
        ],
    }


def rate(read: Callable[[], int], seconds: float) -> float:
    """How many a second, by the best of some calls: neighbours can only make it slower."""
    read()
    best, until = 0.0, time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        count = read()
        best = max(best, count / (time.perf_counter() - started))
    return best


def speed(reader: StripReader, strips: LabelledStrips, seconds: float) -> dict[str, float]:
    """Strips a second beside cells a second, in one process with the threads that it has."""
    some = strips.pictures[:256]
    digits = load()
    predictor = Predictor(digits.manifest, digits.weights, shapes=(256,))
    cells = np.zeros((256, 28, 28), np.uint8)

    def cells_read() -> int:
        return len(predictor.predict(cells))

    return {
        "strips": rate(lambda: len(reader.read(some)), seconds),
        "frames_only": rate(lambda: len(reader.frames(some)), seconds),
        "cells": rate(cells_read, seconds),
    }


def run(files: ModelFiles, config: Config, seconds: float) -> dict[str, Any]:
    """All measurements."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader = StripReader(files.manifest, files.weights)
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    classes = files.manifest.classes
    sets, tests = {}, held_out(config)
    plain = config.model_copy(
        update={"strings": config.strings.model_copy(update={"amounts": 0.0})}
    )
    for name, samples in tests.items():
        own = [sample for sample in samples if sample.whole]
        strips = whole(own, classes) if own else composed(samples, plain, _COMPOSED)
        if strips.pictures:
            sets[name] = measure(reader, strips)
    every = [sample for samples in tests.values() for sample in samples]
    with_amounts = only_digits(measure(reader, composed(every, config, _COMPOSED)))
    sets["with separators"] = with_amounts
    sets["amount_strips"] = only_digits(measure(reader, amounts(classes)))
    rejects = measure(reader, composed(every, config, _REJECTS, "reject"))
    return {
        "model": files.manifest.version,
        "sets": {name: figures(each) for name, each in sets.items()},
        "rejects": {"strips": len(rejects.found), "accepted": int(rejects.sure.sum())},
        "speed": speed(reader, with_amounts.strips, seconds),
        "weights": len(files.weights),
        "memory_mb": (loaded - before) / 1024,
        "cores": len(os.sched_getaffinity(0)),
    }


def markdown(found: dict[str, Any]) -> str:
    """The tables of the report."""
    head = "| strips | number | right | 95 % interval | calibration error |"
    lines = [head, "|---" * 5 + "|"]
    for name, each in found["sets"].items():
        low, high = each["interval"]
        lines.append(
            f"| {name} | {each['strips']} | {each['right'] / each['strips']:.2%} | {low:.2%} to "
            f"{high:.2%} | {each['calibration_error']:.2%} |"
        )
    names = list(found["sets"])
    lines += ["", f"| digits | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for length in range(1, 11):
        cells = [found["sets"][name]["by_length"].get(str(length), [0, 0]) for name in names]
        shown = [f"{right / total:.1%} of {total}" if total else "" for right, total in cells]
        lines.append(f"| {length} | {' | '.join(shown)} |")
    lines += ["", "| accepted from | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for at, level in enumerate(_LEVELS):
        cells = [found["sets"][name]["levels"][at][1:] for name in names]
        shown = [f"{accepted}, {wrong} wrong" for accepted, wrong in cells]
        lines.append(f"| {level} | {' | '.join(shown)} |")
    fast, rejects = found["speed"], found["rejects"]
    seconds = f"{fast['strips']:,.0f} strips a second ({fast['frames_only']:,.0f} undecoded)"
    lines += [
        "",
        f"Of {rejects['strips']} strips that say no number, {rejects['accepted']} were accepted "
        f"from {CERTAIN}. {seconds} beside {fast['cells']:,.0f} cells, on {found['cores']} cores; "
        f"weights {found['weights'] / 1e6:.2f} MB, {found['memory_mb']:.0f} MB of memory.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.strips", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models/pretrained/strips")
    parser.add_argument("--config", type=Path, default=ROOT / "configs/strips.toml")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of speed")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    found = run(read_folder(arguments.model), Config.load(arguments.config), arguments.seconds)
    arguments.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
