"""A list as a file: the format is chosen by the file's name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from inkmill.errors import UsageError
from inkmill.people.lists import browser, spreadsheet
from inkmill.people.lists.lines import About, FilledList, Line
from inkmill.producer.tables import output_file


def check(path: Path) -> None:
    """Raise UsageError for a name without a list's suffix, or where no file can be made."""
    if path.suffix.lower() not in (".xlsx", ".html", ".htm"):
        raise UsageError(f"-o {path}: use a name that ends with .xlsx or .html")
    output_file.check(path)


def write(path: Path, about: About, lines: Iterable[Line]) -> int:
    """Write a list as .xlsx or .html, by the file's name; returns how many lines it has.

    The file appears complete or not at all. Raises UsageError where it cannot be written.
    """
    check(path)
    write_list = spreadsheet.write if path.suffix.lower() == ".xlsx" else browser.write
    with output_file.opened(path) as file:
        return write_list(file, about, lines)


#: Spreadsheet programs save text tables under these names, too.
_TEXT = (".csv", ".txt", ".tsv")


def read(path: Path) -> FilledList:
    """A list that was filled in: .xlsx, or the .csv that the browser saved.

    Raises UsageError for anything else.
    """
    try:
        if path.suffix.lower() == ".xlsx":
            return spreadsheet.read(path)
        if path.suffix.lower() in _TEXT:
            return browser.read_saved(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from None
    raise UsageError(f"{path}: give the filled-in .xlsx, or the .csv that the page saved")
