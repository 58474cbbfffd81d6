"""Read training data: one reader for each kind of source."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from inkmill.errors import UsageError
from inkmill.trainer.config import Config, Source
from inkmill.trainer.data import idx, labelled_files, regions, strips
from inkmill.trainer.data.samples import Dataset, Sample

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
    if source.kind != "form":
        return _READERS[source.kind](source, path, name)
    if config.filters:
        # A worker filters the cell on the page; the sample is its crop, for which it is too late.
        raise UsageError(
            f"source {name}: cells of forms cannot be filtered like in workers: leave filters "
            "out, or use another kind of source"
        )
    return regions.form(source, path, name, config.input_size)


def _mnist(_: Source, path: Path, name: str) -> Dataset:
    return idx.mnist(path, name)


def _npz(_: Source, path: Path, name: str) -> Dataset:
    """Arrays in one file: images (n, height, width), labels (n,); optionally writer, hw (n, 2).

    ``hw`` are the original heights and widths of images that were padded to one size.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as .npz ({error})") from None
    if missing := {"images", "labels"} - set(arrays):
        raise UsageError(f"{path}: has no array {', '.join(sorted(missing))}")
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
    "voc": regions.voc,
    "strips": strips.strips,
}
