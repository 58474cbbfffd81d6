"""Read training data: one reader for each kind of source."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.data import idx, labelled_files, regions, strips, strokes, voc
from inkmill.trainer.data.archive import open_archive
from inkmill.trainer.data.samples import Dataset, Sample
from inkmill.trainer.settings.sources import Source

Reader = Callable[[Source, Path, str], Dataset]


def load(config: Config, folder: Path | None = None) -> Dataset:
    """Read all sources of a config.

    Paths are relative to ``folder``, else to the folder in INKMILL_DATA, else to the current one.
    Raises UsageError for a source that cannot be read at all; images that cannot be used are listed
    as problems.
    """
    base = folder or Path(os.environ.get("INKMILL_DATA") or ".")
    result = Dataset()
    for source in config.sources:
        found = read(source, base, config)
        if not found.samples:
            reasons = "".join(f"\n  {each.where}: {each.reason}" for each in found.problems[:5])
            raise UsageError(f"{base / source.path}: no image that can be used{reasons}")
        result.extend(found)
    return result


def read(source: Source, base: Path, config: Config) -> Dataset:
    """Read one source. Raises UsageError."""
    path, name = base / source.path, source.name or source.kind
    if source.kind == "form":
        if config.filters:
            # A worker filters the cell on the page; the sample is its crop, for which it is late.
            raise UsageError(
                f"source {name}: cells of forms cannot be filtered like in workers: leave filters "
                "out, or use another kind of source"
            )
        found = regions.form(source, path, name, config.input_size)
    else:
        reader = _READERS[source.kind]
        if source.kind == "strips" and config.reads_strips:
            reader = strips.whole_strips
        found = reader(source, path, name)
    return _chosen(found, source, config.split.seed)


def _chosen(found: Dataset, source: Source, seed: int) -> Dataset:
    """The samples that the source's settings leave, with the classes that they name."""
    excluded = {f"[{number}]" for number in source.exclude}
    samples = []
    for sample in found.samples:
        label = source.class_of(sample.label)
        numbered = sample.where[sample.where.rfind("[") :] if excluded else ""
        if label and numbered not in excluded:
            samples.append(sample if label == sample.label else replace(sample, label=label))
    if source.most:
        samples = _capped(samples, source.most, seed)
    if len(samples) < len(found.samples):
        name = source.name or source.kind
        found.notes.append(f"{name}: {len(samples)} of {len(found.samples)} samples are used")
    return Dataset(samples, found.problems, found.notes)


def _capped(samples: Sequence[Sample], most: int, seed: int) -> list[Sample]:
    """At most so many samples of each group, drawn by seed; samples without a group stay."""
    order = np.random.default_rng([seed, 6]).permutation(len(samples)).tolist()
    taken: Counter[str] = Counter()
    kept = []
    for at in order:
        group = samples[at].group
        taken[group] += 1
        if not group or taken[group] <= most:
            kept.append(at)
    return [samples[at] for at in sorted(kept)]


def _mnist(source: Source, path: Path, name: str) -> Dataset:
    return idx.mnist(path, name, path.parent / source.writers if source.writers else None)


def _npz(_: Source, path: Path, name: str) -> Dataset:
    """Arrays in one file: images (n, height, width), labels (n,); optionally writer, hw (n, 2).

    ``hw`` are the original heights and widths of images that were padded to one size.
    """
    arrays = open_archive(path, ("images", "labels"))
    images, labels = arrays["images"], arrays["labels"].tolist()
    if images.dtype != np.uint8 or images.ndim != 3 or len(images) != len(labels):
        raise UsageError(f"{path}: images must be uint8 (n, height, width), one for each label")
    count = len(labels)
    sizes = arrays.get("hw", np.full((count, 2), images.shape[1:])).tolist()
    groups = [str(each) for each in arrays.get("writer", np.full(count, "")).tolist()]
    return Dataset(
        [
            Sample(images[n][:height, :width], str(labels[n]), name, f"{path.name}[{n}]", groups[n])
            for n, (height, width) in enumerate(sizes)
        ]
    )


_READERS: dict[str, Reader] = {
    "mnist": _mnist,
    "npz": _npz,
    "folder": labelled_files.folder,
    "names": labelled_files.names,
    "table": labelled_files.table,
    "voc": voc.voc,
    "strips": strips.strips,
    "strokes": strokes.strokes,
}
