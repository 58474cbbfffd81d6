"""Evaluate a reader of strips on labelled strips: whole strings, by length and writer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inkmill.errors import UsageError
from inkmill.models.manifest import Manifest
from inkmill.models.strips import DASH, SEPARATOR, Hypothesis, StripReader
from inkmill.trainer.data.samples import Dataset, Problem, check_classes
from inkmill.trainer.markdown import markdown, to_html
from inkmill.trainer.measure.metrics import Reliability, Share, reliability_of
from inkmill.trainer.measure.strings import CERTAIN, LabelledStrips, MeasuredStrips, measure
from inkmill.trainer.strings.material import normalised_strips

#: At most this many mistakes are listed, the most confident first.
_WORST = 40


@dataclass(frozen=True, slots=True)
class StringEvaluation:
    """The results; ``where`` says for each strip where it is from."""

    manifest: Manifest
    measured: MeasuredStrips
    where: list[str]
    problems: list[Problem]
    digest: str

    @property
    def share(self) -> Share:
        return self.measured.share

    @property
    def accepted(self) -> Share:
        """Strips accepted without a person, and how many of these are right."""
        sure = self.measured.sure
        return Share(int((sure & self.measured.right).sum()), int(sure.sum()))

    @property
    def certain(self) -> float:
        """The probability from which a string is accepted."""
        return CERTAIN

    @property
    def reliability(self) -> Reliability:
        confidence = np.array([each.probability for each in self.measured.first])
        return reliability_of(confidence, self.measured.right)

    @property
    def tables(self) -> list[tuple[str, dict[str, Share]]]:
        return [
            ("digits", self.measured.by_length()),
            ("writer or document", self.measured.by_group()),
        ]

    @property
    def mistakes(self) -> list[tuple[str, str, Hypothesis]]:
        """Where, what is written and what was read, the most confident first."""
        texts = self.measured.strips.texts
        wrong = [
            (self.where[at], texts[at] or "", said)
            for at, said in enumerate(self.measured.first)
            if said.text != texts[at]
        ]
        return sorted(wrong, key=lambda each: -each[2].probability)[:_WORST]

    def figures(self) -> dict[str, Any]:
        """All results as JSON values."""
        low, high = self.share.interval
        return {
            "model": self.manifest.version,
            "data": self.digest,
            "strips": self.share.total,
            "right": self.share.right,
            "accuracy": self.share.accuracy,
            "interval": [low, high],
            "accepted": self.accepted.total,
            "wrong_accepted": self.accepted.total - self.accepted.right,
            "by_length": _figures(self.measured.by_length()),
            "by_group": _figures(self.measured.by_group()),
            "expected_calibration_error": self.reliability.error,
            "problems": [f"{each.where}: {each.reason}" for each in self.problems],
        }


def _figures(shares: dict[str, Share]) -> dict[str, Any]:
    return {
        name: {"right": each.right, "total": each.total, "accuracy": each.accuracy}
        for name, each in shares.items()
    }


def evaluate_strings(
    reader: StripReader, data: Dataset, *, digits_only: bool = False
) -> StringEvaluation:
    """Evaluate a reader on whole strips; ``digits_only`` compares nothing but digits.

    Raises UsageError if a text has a symbol that the model does not know, or no strip has ink.
    """
    classes = reader.manifest.classes
    check_classes(data.samples, classes, classes)
    made = normalised_strips(data.samples, classes)
    if not made.pictures:
        raise UsageError("no strip has any ink: look at the images, and at the table's file names")
    kept = [data.samples[at] for at in made.kept]
    strips = LabelledStrips(made.pictures, [s.label for s in kept], [s.group for s in kept])
    measured = measure(reader, strips, len(made.problems))
    if digits_only:
        measured = only_digits(measured)
    return StringEvaluation(
        reader.manifest,
        measured,
        [sample.where for sample in kept],
        [*data.problems, *made.problems],
        Dataset(data.samples).digest(),
    )


def only_digits(measured: MeasuredStrips) -> MeasuredStrips:
    """The same with separators and closing dashes left out, as a field of whole numbers reads.

    Hypotheses that then say the same are one.
    """
    found = []
    for row in measured.found:
        summed: dict[str, float] = {}
        for each in row:
            text = _digits(each.text)
            summed[text] = summed.get(text, 0.0) + each.probability
        ordered = sorted(summed.items(), key=lambda each: -each[1])
        found.append([Hypothesis(*each) for each in ordered if each[0]])
    strips = measured.strips
    texts = [None if text is None else _digits(text) for text in strips.texts]
    return MeasuredStrips(
        LabelledStrips(strips.pictures, texts, strips.groups), found, measured.inkless
    )


def _digits(text: str) -> str:
    return text.replace(SEPARATOR, "").rstrip(DASH)


def write_string_report(found: StringEvaluation, folder: Path) -> None:
    """Write report.md, report.html and figures.json."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(found.figures(), indent=2, ensure_ascii=False)
    (folder / "figures.json").write_text(figures + "\n", encoding="utf-8")
    text = report(found)
    (folder / "report.md").write_text(text, encoding="utf-8")
    page = to_html(text, title=f"Evaluation of {found.manifest.version[:16]}")
    (folder / "report.html").write_text(page, encoding="utf-8")


def report(found: StringEvaluation) -> str:
    """The report in Markdown."""
    return markdown(Path(__file__).parent / "strings.md.jinja", found=found)


def summary(found: StringEvaluation) -> Sequence[str]:
    """A few lines for the terminal."""
    return [line for line in report(found).splitlines() if line and not line.startswith("| ---")]
