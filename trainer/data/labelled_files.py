"""Labelled image files: a folder for each class, labels in file names, or a table."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ItemError, UsageError
from inkmill.folders import same_name, skipped
from inkmill.forms.intake import decode_page
from inkmill.saved_tables import dict_rows, read_text
from inkmill.trainer.data.samples import Dataset, Problem, Sample
from inkmill.trainer.settings.sources import Source

Grey = NDArray[np.uint8]

_IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".gif"}


def read_image(path: Path) -> Grey:
    """An image file as grey, uint8 (height, width), decoded like in a worker.

    Raises ItemError or OSError.
    """
    return decode_page(path.read_bytes()).grey


def add(
    dataset: Dataset, path: Path, sample: tuple[str, str, str], group: Callable[[], str]
) -> None:
    """Add one file to a data set, as a sample or as a problem.

    ``sample`` is its label, source and place; ``group`` finds its group, once it could be read.
    """
    label, source, where = sample
    try:
        image = read_image(path)
    except ItemError as error:
        dataset.problems.append(Problem(where, f"{error.code}: {error.message}"))
    except OSError as error:
        dataset.problems.append(Problem(where, f"cannot be read ({error.strerror})"))
    else:
        dataset.samples.append(Sample(image, label, source, where, group()))


def existing(path: Path, what: str) -> Path:
    """Return ``path`` if it exists. Raises UsageError."""
    if not (path.is_dir() if what == "folder" else path.is_file()):
        found = f"not a {what}" if path.exists() else f"{what} not found"
        raise UsageError(f"{path.absolute()}: {found}: correct the source's path or pass --data")
    return path


def compiled(pattern: str, group: str, where: str) -> re.Pattern[str]:
    """A regular expression that has the named group. Raises UsageError."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{where}: {pattern!r} is not a regular expression ({error})") from None
    if group not in expression.groupindex:
        raise UsageError(f"{where}: {pattern!r} has no group named {group}: write (?P<{group}>...)")
    return expression


def group_of(source: Source, text: str) -> str:
    """The writer, form or document in a path, found by the source's ``group``.

    Raises UsageError if it asks for a group that the path does not have.
    """
    if not source.group:
        return ""
    found = compiled(source.group, "group", "group").search(text)
    if found is None or not found["group"]:
        raise UsageError(
            f"{text}: the source's group, {source.group!r}, is not found in it: correct the "
            "expression, so that it names a group of every image"
        )
    return found["group"]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(map(skipped, path.relative_to(folder).parts)):
            yield path


def named_file(folder: Path, name: str) -> Path:
    """The file of this name in a folder, in whichever way its letters with accents are written."""
    path = folder / name
    if path.exists():
        return path
    here = folder
    for part in Path(name).parts:
        alike = (each for each in _entries(here) if same_name(each.name) == same_name(part))
        here = next(alike, here / part)
    return here


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def folder(source: Source, path: Path, name: str) -> Dataset:
    """A folder for each class, which names it; the files below it are its samples."""
    result = Dataset()
    classes = sorted(
        each
        for each in existing(path, "folder").iterdir()
        if each.is_dir() and not skipped(each.name)
    )
    if not classes:
        raise UsageError(f"{path}: contains no folder: put each class into a folder of its name")
    for each in classes:
        before = len(result.samples)
        for file in _files(each):
            where = file.relative_to(path).as_posix()
            add(result, file, (each.name, name, where), partial(group_of, source, where))
        if len(result.samples) == before:
            raise UsageError(f"{each}: class {each.name} has no image that can be read")
    return result


def names(source: Source, path: Path, name: str) -> Dataset:
    """Files with the label in their name, like "7_0001.png" for ``(?P<label>\\d)_``."""
    expression = compiled(source.pattern or r"^(?P<label>[^_]+)_", "label", "pattern")
    result = Dataset()
    for file in _files(existing(path, "folder")):
        where = file.relative_to(path).as_posix()
        found = expression.search(file.name)
        if found is None:
            if file.suffix.lower() in _IMAGES:
                reason = f"its name does not match {expression.pattern!r}"
                result.problems.append(Problem(where, reason))
            continue
        add(result, file, (found["label"], name, where), partial(group_of, source, where))
    return result


def rows(source: Source, path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, or of a table in an SQLite file. Raises UsageError."""
    existing(path, "file")
    wanted = [source.image_column, source.label_column]
    wanted += [source.group_column] if source.group_column else []
    if path.suffix.lower() in (".db", ".sqlite", ".sqlite3"):
        found = _from_sqlite(source, path)
    else:
        found = from_csv(path)
    if found and (missing := [column for column in wanted if column not in found[0]]):
        raise UsageError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(found[0])}: name them with "
            "image_column, label_column, group_column"
        )
    return found


def from_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; missing cells of a short row are empty. Raises UsageError."""
    try:
        return [
            {str(key): value or "" for key, value in row.items()}
            for row in dict_rows(read_text(path))
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file ({error})") from None


def _from_sqlite(source: Source, path: Path) -> list[dict[str, str]]:
    # Column and table names cannot be parameters of a statement.
    table = source.table.replace('"', '""')
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            cursor = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608
            columns = [about[0] for about in cursor.description]
            return [
                {
                    name: "" if value is None else str(value)
                    for name, value in zip(columns, row, strict=True)
                }
                for row in cursor
            ]
    except sqlite3.Error as error:
        raise UsageError(f"{path}: table {source.table} cannot be read ({error})") from None


def row_group(source: Source, row: dict[str, str], where: str) -> str:
    """The group in a row of a table: of its column, or in the file's name. Raises UsageError."""
    if not source.group_column:
        return group_of(source, row[source.image_column])
    group = row[source.group_column].strip()
    if not group:
        raise UsageError(
            f"{where}: its column {source.group_column} is empty: fill it in, or leave out "
            "group_column"
        )
    return group


def table(source: Source, path: Path, name: str) -> Dataset:
    """A CSV or SQLite table with file names and labels."""
    images = path.parent / source.images if source.images else path.parent
    result = Dataset()
    for number, row in enumerate(rows(source, path), 2):
        image, label = row[source.image_column], row[source.label_column].strip()
        where = f"{path.name} row {number}: {image}"
        if not label:
            result.problems.append(Problem(where, "has no label"))
            continue
        file = named_file(images, image)
        add(result, file, (label, name, where), partial(row_group, source, row, where))
    return result


def cut(image: Grey, box: tuple[int, int, int, int]) -> Grey:
    """A rectangle of an image: left, top, right, bottom in pixels."""
    left, top, right, bottom = box
    return np.ascontiguousarray(image[top:bottom, left:right])


def save_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a PNG. Raises UsageError if it cannot be written."""
    ok, data = cv2.imencode(".png", image)
    assert ok
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
