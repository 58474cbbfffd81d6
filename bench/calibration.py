"""Whether confidence means probability, on writers the model was not trained on.

    python -m bench.calibration --out docs/benchmarks/calibration

Digits of MNIST's test set, whose writers are none of its training set's, as they are and written
into forms and scanned at moderate severity; and those of the Swiss writers that the shipped
config holds back, who have set the temperature (one number) and nothing else. Then what is no
digit. Writes OUT.json, OUT.md and the reliability diagram of the digits on paper, OUT.png.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.acceptance import Test
from bench.filled import FORMS, ROOT, Recognizer
from bench.material import data_folder, digits
from bench.rejection import measure_rejection
from inkmill.errors import ItemError
from inkmill.forms.cut.normalise import normalise
from inkmill.models.predictor import Predictor
from inkmill.template.form import Form
from inkmill.trainer.measure.metrics import reliability, wilson
from inkmill.trainer.measure.plots import reliability_picture

Crops = NDArray[np.uint8]
Labels = NDArray[np.int32]
#: The severity and seed of the pages; `bench.acceptance` has others of the same kind.
_SEVERITY, _SEED = "moderate", 12
#: Numbers of Swiss digits with another label than their shape, as in configs/forms.toml.
_MISLABELLED = (2114, 2211)


def mnist(predictor: Predictor) -> tuple[Crops, Labels]:
    """MNIST's test digits as they are."""
    source = digits("mnist-test")
    return _normalised(predictor, [255 - each for each in source.images]), _as_labels(source.labels)


def swiss(predictor: Predictor) -> tuple[Crops, Labels]:
    """The digits of the writers that the model's temperature was found on."""
    with np.load(data_folder() / "numbers_ch/numbers_ch.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    held = np.isin(arrays["writer"], predictor.manifest.calibration["groups"])
    held[list(_MISLABELLED)] = False
    mine = np.flatnonzero(held)
    cut = [arrays["images"][n][: arrays["hw"][n][0], : arrays["hw"][n][1]] for n in mine]
    return _normalised(predictor, cut), _as_labels(arrays["labels"][mine])


def on_paper(recognizer: Recognizer, pages: int) -> tuple[Crops, Labels]:
    """Cells of so many pages of each form in which a digit is written and ink was found."""
    crops, labels = list[Crops](), list[int]()
    for path in FORMS:
        test = Test(Form.load(path), _SEVERITY, "both", _SEED)
        for sample in islice(filter(None, map(test.page, count())), pages):
            try:
                cells = recognizer.cut(sample.data, test.form)
            except ItemError:
                continue
            written = [
                symbol
                for each in test.form.page_fields(1)
                if each.read
                for symbol in sample.raw[each.name]
            ]
            for symbol, crop, empty in zip(written, cells.crops, cells.empty, strict=True):
                if symbol.isdigit() and not empty:
                    crops.append(crop)
                    labels.append(int(symbol))
    return np.stack(crops), _as_labels(np.array(labels))


def _normalised(predictor: Predictor, greys: list[NDArray[np.uint8]]) -> Crops:
    size, filters = predictor.manifest.input_size, predictor.manifest.filters
    crops = [normalise(each, size, filters) for each in greys]
    return np.stack([np.zeros((size, size), np.uint8) if each is None else each for each in crops])


def _as_labels(labels: NDArray[Any]) -> Labels:
    return labels.astype(np.int32)


def measure(predictor: Predictor, crops: Crops, labels: Labels, picture: Path | None) -> Any:
    """Digits, how many are read right with 95 % bounds, expected calibration error, in per cent."""
    odds = np.asarray(predictor.predict(crops), np.float64)
    found = reliability(odds, labels)
    if picture is not None:
        reliability_picture(found, picture)
    right = int((odds.argmax(axis=1) == labels).sum())
    low, high = wilson(right, len(labels))
    return {
        "digits": len(labels),
        "right_percent": round(100 * right / len(labels), 3),
        "bounds_95": [round(100 * low, 3), round(100 * high, 3)],
        "calibration_error_percent": round(100 * found.error, 3),
    }


def tables(found: dict[str, Any]) -> Iterator[str]:
    """The figures as Markdown."""
    yield "| writers not trained on | digits | read right (95 %) | calibration error |\n"
    yield "| --- " * 4 + "|\n"
    for name, each in found["digits"].items():
        low, high = each["bounds_95"]
        yield (
            f"| {name} | {each['digits']:,} | {each['right_percent']:.2f} % "
            f"({low:.2f} to {high:.2f}) | {each['calibration_error_percent']:.2f} % |\n"
        )
    yield "\n| no digit | area under the curve | accepted as a digit |\n| --- | --- | --- |\n"
    for name, each in found["no_digits"].items():
        yield f"| {name} | {each['area']:.4f} | {each['passed']:.1f} % |\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.calibration", description=__doc__)
    parser.add_argument("--pages", type=int, default=100, help="of each form")
    parser.add_argument("--count", type=int, default=2000, help="of each kind of no digit")
    parser.add_argument("--model", type=Path, default=ROOT / "models/pretrained")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    out: Path = arguments.out
    recognizer = Recognizer.load(arguments.model)
    predictor = recognizer.predictor
    sets = {
        "MNIST's test digits": mnist(predictor),
        "the same, on scanned forms": on_paper(recognizer, arguments.pages),
        "two Swiss writers held back": swiss(predictor),
    }
    found = {
        "model": predictor.version,
        "digits": {
            name: measure(predictor, *each, out.with_suffix(".png") if "forms" in name else None)
            for name, each in sets.items()
        },
        "no_digits": measure_rejection(predictor, arguments.count),
    }
    out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    text = "".join(tables(found))
    out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
