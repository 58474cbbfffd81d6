"""Evaluate a model on labelled data: figures, pictures, a report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inkmill.errors import UsageError
from inkmill.models.manifest import BLANK, REJECT, Manifest
from inkmill.models.predictor import Predictor
from inkmill.trainer.crops.material import Crops, normalised
from inkmill.trainer.data.labelled_files import save_image
from inkmill.trainer.data.samples import Dataset, Problem, Sample, check_classes
from inkmill.trainer.markdown import markdown, to_html
from inkmill.trainer.measure.contact_sheets import sheet
from inkmill.trainer.measure.metrics import (
    Reliability,
    Share,
    confusion,
    log_loss,
    reliability,
    share_by,
)
from inkmill.trainer.measure.robustness import DamageTrial, robustness

#: At most this many mistakes are shown, the most confident first.
_WORST = 96
#: Pictures beside the report, as PNG.
_PICTURES = ("confusion", "reliability", "mistakes")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results. ``samples`` and ``probabilities`` are those with ink.

    ``left_out`` counts images that the model was trained on, which were not read.
    """

    manifest: Manifest
    samples: list[Sample]
    crops: Crops
    probabilities: Any
    problems: list[Problem]
    trials: list[DamageTrial]
    digest: str
    left_out: int = 0

    @property
    def right(self) -> Any:
        return self.probabilities.argmax(axis=1) == self.crops.labels

    @property
    def share(self) -> Share:
        """Accuracy; an image without ink counts as wrong."""
        return Share(int(self.right.sum()), len(self.samples) + len(self.crops.problems))

    @property
    def reliability(self) -> Reliability:
        return reliability(self.probabilities, self.crops.labels)

    def shares_by(self, attribute: str) -> dict[str, Share]:
        """Accuracy for each value of an attribute of the samples: label, source or group."""
        return share_by([getattr(each, attribute) for each in self.samples], self.right)

    def figures(self) -> dict[str, Any]:
        """All results as JSON values."""
        low, high = self.share.interval
        return {
            "model": self.manifest.version,
            "data": self.digest,
            "samples": self.share.total,
            "left_out": self.left_out,
            "right": self.share.right,
            "accuracy": self.share.accuracy,
            "interval": [low, high],
            "by_class": _figures(self.shares_by("label")),
            "by_source": _figures(self.shares_by("source")),
            "by_group": _figures(self.shares_by("group")),
            "not_digits": self._not_digits(),
            "log_loss": log_loss(self.probabilities, self.crops.labels),
            "expected_calibration_error": self.reliability.error,
            "robustness": {trial.name: trial.share.accuracy for trial in self.trials},
            "problems": [f"{each.where}: {each.reason}" for each in self.problems],
        }

    def _not_digits(self) -> dict[str, float]:
        """Shares of digits that were read as blank or reject."""
        found = {}
        for name in (BLANK, REJECT):
            if name in self.manifest.classes:
                number = self.manifest.classes.index(name)
                wrong = (self.probabilities.argmax(axis=1) == number) & ~self.right
                found[name] = float(wrong.mean()) if len(wrong) else 0.0
        return found


def _figures(shares: dict[str, Share]) -> dict[str, Any]:
    return {
        name: {"right": each.right, "total": each.total, "accuracy": each.accuracy}
        for name, each in shares.items()
    }


def evaluate(
    predictor: Predictor, data: Dataset, robust: int = 1000, *, left_out: int = 0
) -> Evaluation:
    """Evaluate a model on labelled data; ``robust`` samples are read with each kind of damage.

    ``left_out`` is the number of training images of the model that ``data`` no longer contains.
    Raises UsageError if a label is not one of the model's classes, or if no image has ink.
    """
    manifest = predictor.manifest
    check_classes(data.samples, manifest.classes, manifest.classes)
    crops = normalised(data.samples, manifest.classes, manifest.input_size, manifest.filters)
    if not len(crops.kept):
        raise UsageError("no image has any ink: look at them with inkmill data preview")
    kept = [data.samples[at] for at in crops.kept]
    probabilities = predictor.predict(crops.crops)
    trials = robustness(predictor, kept, robust) if robust else []
    problems = [*data.problems, *crops.problems]
    return Evaluation(
        manifest=manifest,
        samples=kept,
        crops=crops,
        probabilities=probabilities,
        problems=problems,
        trials=trials,
        digest=Dataset(data.samples).digest(),
        left_out=left_out,
    )


def write_report(found: Evaluation, folder: Path) -> None:
    """Write report.md, report.html, figures.json and the pictures."""
    from inkmill.trainer.measure.plots import confusion_picture, reliability_picture

    folder.mkdir(parents=True, exist_ok=True)
    classes = found.manifest.classes
    readings = found.probabilities.argmax(axis=1).astype(np.int32)
    table = confusion(found.crops.labels, readings, len(classes))
    confusion_picture(table, classes, folder / "confusion.png")
    reliability_picture(found.reliability, folder / "reliability.png")
    save_image(folder / "mistakes.png", mistakes(found))
    figures = json.dumps(found.figures(), indent=2, ensure_ascii=False)
    (folder / "figures.json").write_text(figures + "\n", encoding="utf-8")
    text = report(found)
    (folder / "report.md").write_text(text, encoding="utf-8")
    pictures = {f"{name}.png": (folder / f"{name}.png").read_bytes() for name in _PICTURES}
    page = to_html(text, title=f"Evaluation of {found.manifest.version[:16]}", pictures=pictures)
    (folder / "report.html").write_text(page, encoding="utf-8")


def mistakes(found: Evaluation) -> Any:
    """A contact sheet of the worst mistakes, the most confident first."""
    wrong = np.flatnonzero(~found.right)
    wrong = wrong[np.argsort(-found.probabilities[wrong].max(axis=1))][:_WORST]
    classes = found.manifest.classes
    pictures = [found.crops.crops[at] for at in wrong]
    captions = [
        f"{found.samples[at].label}>{classes[found.probabilities[at].argmax()]} "
        f"{found.probabilities[at].max():.2f}"
        for at in wrong
    ]
    return sheet(pictures, captions)


def report(found: Evaluation) -> str:
    """The report in Markdown."""
    return markdown(
        Path(__file__).parent / "report.md.jinja",
        found=found,
        tables=[
            ("class", found.shares_by("label")),
            ("source", found.shares_by("source")),
            ("writer or document", found.shares_by("group")),
            ("damage", {trial.name: trial.share for trial in found.trials}),
        ],
        pictures=_PICTURES,
    )


def summary(found: Evaluation) -> Sequence[str]:
    """A few lines for the terminal."""
    lines = report(found).splitlines()
    return [line for line in lines if line and not line.startswith(("!", "| ---"))]
