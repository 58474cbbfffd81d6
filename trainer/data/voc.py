"""Pascal VOC annotations, as written by labelImg: each bounding box becomes a sample."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from inkmill.errors import ItemError, UsageError
from inkmill.folders import same_name, skipped
from inkmill.trainer.data.labelled_files import (
    Grey,
    cut,
    existing,
    group_of,
    named_file,
    read_image,
)
from inkmill.trainer.data.samples import Dataset, Problem, Sample
from inkmill.trainer.settings.sources import Source

#: Pictures whose sides differ in proportion by less than this were only scaled.
_SAME_SHAPE = 0.02
#: EXIF's tag for the orientation, and those that exchange width and height.
_ORIENTATION, _SIDEWAYS = 274, (5, 6, 7, 8)
#: labelImg's files are a few kilobytes; expat itself protects against entity bombs.
_LARGEST_XML = 10_000_000
#: Where VOC's own layout has the pictures, beside Annotations.
_PICTURES = "JPEGImages"


def voc(source: Source, path: Path, name: str) -> Dataset:
    """A folder of Pascal VOC XML files, as written by labelImg; each box becomes a sample."""
    result = Dataset()
    files = {
        file.stem: file
        for file in sorted(existing(path, "folder").rglob("*.xml"))
        if not any(map(skipped, file.relative_to(path).parts))
    }
    if source.image_set:
        chosen = _image_set(existing(path / source.image_set, "file"))
        for missing in [each for each in chosen if each not in files]:
            result.problems.append(Problem(source.image_set, f"{missing} has no annotation"))
        files = {stem: file for stem, file in files.items() if stem in chosen}
    for file in files.values():
        _annotated(source, path, file, name, result)
    return result


def _image_set(path: Path) -> dict[str, None]:
    """The images in a list of VOC's ImageSets; -1 says that an image lacks the list's class."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {line[0]: None for line in lines if line and line[1:] != ["-1"]}


def _annotated(source: Source, base: Path, file: Path, name: str, result: Dataset) -> None:
    where = file.relative_to(base).as_posix()
    try:
        if file.stat().st_size > _LARGEST_XML:
            raise UsageError(f"{where}: too large for an annotation file")
        root = ElementTree.parse(file).getroot()  # noqa: S314  size is bounded above
    except ElementTree.ParseError as error:
        result.problems.append(Problem(where, f"not XML ({error})"))
        return
    if root.find("object") is None:
        result.problems.append(Problem(where, "it has no object, so that nothing is used of it"))
        return
    named = [(root.findtext(tag) or "").strip() for tag in ("filename", "path")]
    folders = [base / source.images] if source.images else [file.parent, base / _PICTURES]
    found = (_picture(folder, each) for each in named if each for folder in folders)
    picture = next((each for each in found if each is not None), None)
    pictured = named[0] or named[1]
    if picture is None:
        result.problems.append(Problem(where, f"its image {pictured!r} was not found"))
        return
    try:
        frame = _frame(source, root, picture)
    except ItemError as error:
        result.problems.append(Problem(where, f"{pictured}: {error.code}: {error.message}"))
        return
    except ValueError as error:
        result.problems.append(Problem(where, f"{pictured}: {error}"))
        return
    for number, each in enumerate(root.iter("object"), 1):
        place = f"{where} object {number}"
        if marked := _left_out(each, source):
            result.notes.append(f"{place}: left out, as it is marked as {marked}")
            continue
        try:
            box = _box(each, frame)
        except ValueError as error:
            result.problems.append(Problem(place, str(error)))
            continue
        label = (each.findtext("name") or "").strip()
        group = group_of(source, pictured) or picture.stem
        result.samples.append(Sample(frame.cut(box), label, name, place, group))


def _left_out(each: ElementTree.Element, source: Source) -> str:
    """Which mark of an object makes that it is not used; empty if it is used."""
    used = {"difficult": source.difficult, "truncated": source.truncated}
    marks = (mark for mark, is_used in used.items() if not is_used)
    return next((mark for mark in marks if (each.findtext(mark) or "").strip() == "1"), "")


def _picture(folder: Path, name: str) -> Path | None:
    """The image that an annotation names: also by a path of another machine, without an extension,
    or in other letters than the file has."""
    bare = PureWindowsPath(name).name
    for each in (name, bare):
        if (path := named_file(folder, each)).is_file():
            return path
    files = [path for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []
    wanted = same_name(bare).casefold()
    names = {path: same_name(path.name).casefold() for path in files if path.suffix != ".xml"}
    found = [path for path, each in names.items() if each == wanted]
    found = found or [path for path, each in names.items() if each.rpartition(".")[0] == wanted]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class _Frame:
    """The picture in which boxes were drawn.

    ``image`` is uint8 (height, width), ``across`` and ``down`` its pixels for one of the
    annotation's, ``turn`` the EXIF orientation that turns what is cut from it upright; 1: none.
    """

    image: Grey
    across: float
    down: float
    turn: int

    def cut(self, box: tuple[int, int, int, int]) -> Grey:
        """A box of the picture, upright."""
        return _turned(cut(self.image, box), self.turn)


def _frame(source: Source, root: ElementTree.Element, picture: Path) -> _Frame:
    """The picture as it was when boxes were drawn: turned as its EXIF data say, or as stored.

    Programs differ in that. Where <size> has the proportions of only one of the two, it tells.
    Raises ItemError; ValueError if it cannot be told, or if the picture is another one.
    """
    upright = read_image(picture)
    turn = _orientation(picture)
    if turn == 1:
        return _scaled(upright, _size(root), 1)
    stored = _turned(upright, {6: 8, 8: 6}.get(turn, turn))
    if source.orientation == "applied":
        return _scaled(upright, _size(root), 1)
    if source.orientation == "ignored":
        return _scaled(stored, _size(root), turn)
    size = _size(root)
    if turn in _SIDEWAYS and size:
        as_upright, as_stored = (_same_shape(each, size) for each in (upright, stored))
        if as_upright != as_stored:
            return _scaled(upright, size, 1) if as_upright else _scaled(stored, size, turn)
    raise ValueError(
        f"it is to be turned when shown (EXIF orientation {turn}), and <size> does not tell "
        "whether its boxes were drawn before or after that: look at one, and say in the source "
        'orientation = "applied" (drawn on the turned picture) or "ignored"'
    )


def _orientation(picture: Path) -> int:
    """EXIF's orientation of a picture, 1 to 8; 1 if there is none."""
    try:
        with Image.open(picture) as image:
            found = image.getexif().get(_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError):
        return 1  # such as a PDF, which is decoded otherwise
    return found if found in range(1, 9) else 1


def _turned(image: Grey, turn: int) -> Grey:
    """An image turned as EXIF's orientation says (CIPA DC-008, section 4.6.5)."""
    ways: dict[int, Callable[[Grey], Any]] = {
        2: np.fliplr,
        3: lambda each: np.rot90(each, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda each: np.rot90(each, -1),
        7: lambda each: np.rot90(np.transpose(each), 2),
        8: np.rot90,
    }
    return np.ascontiguousarray(ways[turn](image)) if turn in ways else image


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """An annotation's width and height; labelImg always says them, others may not."""
    sides = [root.findtext(f"size/{side}") or "" for side in ("width", "height")]
    width, height = (int(side) if side.strip().isdecimal() else 0 for side in sides)
    return (width, height) if width and height else None


def _same_shape(image: Grey, size: tuple[int, int]) -> bool:
    """Whether an image has the proportions of a width and a height."""
    across, down = image.shape[1] / size[0], image.shape[0] / size[1]
    return bool(abs(across - down) <= _SAME_SHAPE * max(across, down))


def _scaled(image: Grey, size: tuple[int, int] | None, turn: int) -> _Frame:
    """A picture with its scale. Raises ValueError if its proportions are not those of ``size``."""
    if size is None:
        return _Frame(image, 1.0, 1.0, turn)
    if not _same_shape(image, size):
        raise ValueError(
            f"its <size> is {size[0]} x {size[1]}, but the picture is {image.shape[1]} x "
            f"{image.shape[0]} px: was it turned or cut after it was annotated?"
        )
    return _Frame(image, image.shape[1] / size[0], image.shape[0] / size[1], turn)


def _box(each: ElementTree.Element, frame: _Frame) -> tuple[int, int, int, int]:
    """An object's box in pixels of the picture. Raises ValueError."""
    edges = [each.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    scale = (frame.across, frame.down)
    try:
        left, top, right, bottom = (
            round(float(edge or "") * factor) for edge, factor in zip(edges, scale * 2, strict=True)
        )
    except ValueError:
        raise ValueError(f"its bndbox is not four numbers: {edges}") from None
    height, width = frame.image.shape
    # Some programs count pixels from 1, and some the pixel behind the last.
    left, top = (0 if edge == -1 else edge for edge in (left, top))
    right, bottom = right - (right == width + 1), bottom - (bottom == height + 1)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(
            f"its box {left}, {top} to {right}, {bottom} is outside the picture of "
            f"{width} x {height} px"
        )
    return left, top, right, bottom
