"""A card of training data: what is in them, where they come from, and what may be wrong with them.

Made of what a training would use: counts by class, part, source and writer, equal images, images
that cannot be used, and labels that are probably wrong, with pictures.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inkmill.trainer.config import Config
from inkmill.trainer.crops.material import normalised
from inkmill.trainer.data import readers
from inkmill.trainer.data.labelled_files import save_image
from inkmill.trainer.data.samples import Dataset, Problem, Sample, duplicates
from inkmill.trainer.data.split import Parts, split
from inkmill.trainer.markdown import markdown, to_html
from inkmill.trainer.measure.contact_sheets import rows_sheet, sheet
from inkmill.trainer.measure.suspects import Checked, check_labels, network_features
from inkmill.trainer.preparation import without_ink

#: Side of the crops that the shipped network reads.
_SIZE = 28
#: Images of a class in the picture of samples; suspects in theirs; lines of a list in the text.
_SHOWN, _SUSPECTS, _LISTED = 12, 96, 20


@dataclass(frozen=True, slots=True)
class DataCard:
    """What a card says.

    ``lost`` are images without ink after preprocessing; ``checked`` is None if labels were not
    checked.
    """

    config: Config
    dataset: Dataset
    parts: Parts
    lost: list[Problem]
    checked: Checked | None

    @property
    def samples(self) -> list[Sample]:
        return self.dataset.samples

    def by_class(self) -> dict[str, dict[str, int]]:
        """Number of samples of each class, in each part."""
        counts = {
            part: Counter(map(_class_of, members)) for part, members in self.parts.named().items()
        }
        labels = sorted(set(map(_class_of, self.samples)))
        return {label: {part: each[label] for part, each in counts.items()} for label in labels}

    def sources(self) -> list[dict[str, Any]]:
        """Each source: samples, classes, writers, licence, digest, images that cannot be used."""
        return [
            self._source(each.name or each.kind, each.kind, each.licence)
            for each in self.config.sources
        ]

    def _source(self, name: str, kind: str, licence: str) -> dict[str, Any]:
        members = [sample for sample in self.samples if sample.source == name]
        groups = Counter(sample.group for sample in members if sample.group)
        return {
            "name": name,
            "kind": kind,
            "samples": len(members),
            "classes": len(set(map(_class_of, members))),
            "writers": len(groups),
            "most of one writer": max(groups.values(), default=0),
            "licence": licence,
            "sha256": Dataset(members).digest(),
        }

    def sizes(self) -> dict[str, list[int]]:
        """Least, median and largest height and width of the images, in pixels."""
        shapes = np.array([sample.image.shape for sample in self.samples])
        ends = [shapes.min(axis=0), np.median(shapes, axis=0), shapes.max(axis=0)]
        table = np.array(ends).astype(int).T.tolist()
        return dict(zip(("height", "width"), table, strict=True))

    def not_classes(self) -> list[str]:
        """Labels that are no classes of the config."""
        return sorted(
            {sample.label for sample in self.samples if not sample.whole} - {*self.config.classes}
        )

    def between_parts(self) -> list[tuple[Sample, Sample]]:
        """Equal images, of which one is measured with; the other is left out of training."""
        return self.parts.copies

    def between_sources(self) -> list[tuple[Sample, Sample]]:
        """Equal images in two sources."""
        names = dict.fromkeys(sample.source for sample in self.samples)
        return duplicates(
            {name: [each for each in self.samples if each.source == name] for name in names}
        )

    def repeated(self) -> int:
        """How many images are there once more, wherever."""
        return len(self.samples) - len({sample.digest for sample in self.samples})

    def labelled_twice(self) -> list[tuple[Sample, Sample]]:
        """Equal images with different labels: one of the two is wrong."""
        first: dict[bytes, Sample] = {}
        pairs = [(first.setdefault(each.digest, each), each) for each in self.samples]
        return [(one, other) for one, other in pairs if one.label != other.label]

    def reasons(self) -> dict[str, int]:
        """Why images cannot be used, and how many."""
        every = [*self.dataset.problems, *self.lost]
        return dict(Counter(each.reason for each in every).most_common())

    def figures(self) -> dict[str, Any]:
        """All that the card says, as JSON values."""
        pairs = {
            "labelled twice": self.labelled_twice(),
            "between parts": self.between_parts(),
            "between sources": self.between_sources(),
        }
        return {
            "samples": len(self.samples),
            "sha256": self.dataset.digest(),
            "parts": {part: len(members) for part, members in self.parts.named().items()},
            "by_class": self.by_class(),
            "sources": self.sources(),
            "sizes": self.sizes(),
            "not_used": self.reasons(),
            "repeated": self.repeated(),
            "duplicates": {
                kind: [[one.where, other.where] for one, other in found]
                for kind, found in pairs.items()
            },
            "labels": _label_figures(self.checked),
        }


def _class_of(sample: Sample) -> str:
    """A sample's class; strips have a text instead, and are one kind."""
    return "strips" if sample.whole else sample.label


def _label_figures(checked: Checked | None) -> dict[str, Any] | None:
    if checked is None:
        return None
    return {
        "checked": checked.count,
        "folds": checked.folds,
        "by_writer": checked.by_group,
        "suspects": [
            {
                "where": each.sample.where,
                "source": each.sample.source,
                "label": each.sample.label,
                "looks_like": each.likely,
                "confidence": round(each.confidence, 4),
                "confidence_of_label": round(each.given, 4),
            }
            for each in checked.suspects
        ],
        "too_few": checked.rare,
    }


def make_data_card(config: Config, folder: Path | None, folds: int, most: int) -> DataCard:
    """Read the data of a config and describe them; at most ``most`` labels are checked.

    Raises UsageError.
    """
    dataset = readers.load(config, folder)
    parts = split(dataset.samples, config)
    single = [sample for sample in dataset.samples if not sample.whole]
    labels = sorted({sample.label for sample in single})
    if config.reads_strips:
        lost = without_ink(dataset.samples, config)
    else:
        lost = normalised(single, labels, config.input_size, config.filters).problems
    checked = checked_labels(single, folds, most, config.split.seed) if most else None
    return DataCard(config, dataset, parts, lost, checked)


def checked_labels(samples: Sequence[Sample], folds: int, most: int, seed: int) -> Checked | None:
    """Check the labels of at most ``most`` characters; None if there are none.

    Raises UsageError: see `suspects.check_labels`.
    """
    order = np.random.default_rng([seed, 8]).permutation(len(samples))[:most]
    single = [samples[at] for at in np.sort(order).tolist()]
    labels = sorted({sample.label for sample in single})
    made = normalised(single, labels, _SIZE, ())
    kept = [single[at] for at in made.kept]
    if not kept:
        return None
    return check_labels(kept, network_features(made.crops), folds, seed)


def write_data_card(card: DataCard, folder: Path) -> None:
    """Write data-card.md, data-card.html, figures.json, suspects.csv and the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    save_image(folder / "samples.png", _samples_picture(card))
    names = ["samples.png"]
    suspects = card.checked.suspects if card.checked is not None else []
    if suspects:
        save_image(folder / "suspects.png", _suspects_picture(card))
        names.append("suspects.png")
    table = io.StringIO()
    found = (_label_figures(card.checked) or {}).get("suspects", [])
    columns = ("where", "source", "label", "looks_like", "confidence", "confidence_of_label")
    writer = csv.DictWriter(table, columns)
    writer.writeheader()
    writer.writerows(found)
    (folder / "suspects.csv").write_text(table.getvalue(), encoding="utf-8", newline="")
    figures = json.dumps(card.figures(), indent=2, ensure_ascii=False)
    (folder / "figures.json").write_text(figures + "\n", encoding="utf-8")
    text = data_card(card)
    (folder / "data-card.md").write_text(text, encoding="utf-8")
    pictures = {name: (folder / name).read_bytes() for name in names}
    page = to_html(text, title=f"Data card: {card.config.name}", pictures=pictures)
    (folder / "data-card.html").write_text(page, encoding="utf-8")


def data_card(card: DataCard) -> str:
    """The card in Markdown."""
    return markdown(
        Path(__file__).parent / "data-card.md.jinja",
        card=card,
        name=card.config.name,
        checked=card.checked,
        listed=_LISTED,
        shown=_SUSPECTS,
    )


def summary(card: DataCard) -> Iterator[str]:
    """A few lines for the terminal."""
    counts = card.by_class()
    yield f"{len(card.samples):,} images: " + ", ".join(
        f"{label} {sum(parts.values()):,}" for label, parts in counts.items()
    )
    for each in card.sources():
        writers = f"{each['writers']:,} writers" if each["writers"] else "writers unknown"
        licence = each["licence"] or "licence not stated"
        yield f"{each['name']}: {each['samples']:,} images, {writers}, {licence}"
    if absent := card.not_classes():
        yield f"not among the classes of the config: {', '.join(absent)}"
    for reason, count in card.reasons().items():
        yield f"not used: {count:,} times: {reason}"
    yield (
        f"equal images: {card.repeated():,}; with two labels {len(card.labelled_twice()):,}, "
        f"left out of training as their copy is measured with {len(card.between_parts()):,}, "
        f"in two sources {len(card.between_sources()):,}"
    )
    if card.checked is not None:
        found = len(card.checked.suspects)
        yield f"labels that are probably wrong: {found:,} of {card.checked.count:,}"


def _samples_picture(card: DataCard) -> Any:
    """Some samples of each class as they were found, drawn by the split's seed."""
    rng = np.random.default_rng([card.config.split.seed, 9])
    rows = []
    for label in card.by_class():
        mine = [sample.image for sample in card.samples if _class_of(sample) == label]
        chosen = rng.permutation(len(mine))[:_SHOWN].tolist()
        rows.append((f"{label} ({len(mine):,})", [mine[at] for at in chosen]))
    return rows_sheet(rows[:_SUSPECTS])


def _suspects_picture(card: DataCard) -> Any:
    """The surest suspects, each with its label and what it looks like."""
    suspects = card.checked.suspects[:_SUSPECTS] if card.checked is not None else []
    captions = [f"{each.sample.label}? {each.likely} {each.confidence:.2f}" for each in suspects]
    return sheet([each.sample.image for each in suspects], captions)
