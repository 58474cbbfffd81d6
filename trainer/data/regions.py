"""Labelled regions of images: Pascal VOC boxes, and cells of scanned forms."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path, PureWindowsPath

from inkmill.errors import FormError, ItemError, UsageError
from inkmill.folders import same_name, skipped
from inkmill.forms.intake import decode_page
from inkmill.forms.reader import PageCells, cut_page
from inkmill.template.form import Form
from inkmill.trainer.data.labelled_files import (
    Grey,
    cut,
    existing,
    from_csv,
    group_of,
    named_file,
    read_image,
)
from inkmill.trainer.data.samples import Dataset, Problem, Sample
from inkmill.trainer.settings.sources import Source

#: Pictures whose sides differ in proportion by less than this were only scaled.
_SAME_SHAPE = 0.02
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
        image = read_image(picture)
    except ItemError as error:
        result.problems.append(Problem(where, f"{pictured}: {error.code}: {error.message}"))
        return
    try:
        scale = _scale(root, image)
    except ValueError as error:
        result.problems.append(Problem(where, f"{pictured}: {error}"))
        return
    for number, each in enumerate(root.iter("object"), 1):
        place = f"{where} object {number}"
        if marked := _left_out(each, source):
            result.notes.append(f"{place}: left out, as it is marked as {marked}")
            continue
        try:
            box = _box(each, image, scale)
        except ValueError as error:
            result.problems.append(Problem(place, str(error)))
            continue
        label = (each.findtext("name") or "").strip()
        group = group_of(source, pictured) or picture.stem
        result.samples.append(Sample(cut(image, box), label, name, place, group))


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


def _scale(root: ElementTree.Element, image: Grey) -> tuple[float, float]:
    """The picture's pixels for one of the annotation's. Raises ValueError if it was turned."""
    sides = [root.findtext(f"size/{side}") or "" for side in ("width", "height")]
    width, height = (int(side) if side.strip().isdecimal() else 0 for side in sides)
    if not (width and height):
        return 1.0, 1.0  # labelImg always says it; others may not
    across, down = image.shape[1] / width, image.shape[0] / height
    if abs(across - down) > _SAME_SHAPE * max(across, down):
        raise ValueError(
            f"its <size> is {width} x {height}, but the picture is {image.shape[1]} x "
            f"{image.shape[0]} px: was it turned or cut after it was annotated?"
        )
    return across, down


def _box(
    each: ElementTree.Element, image: Grey, scale: tuple[float, float]
) -> tuple[int, int, int, int]:
    """An object's box in pixels of the picture. Raises ValueError."""
    edges = [each.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (
            round(float(edge or "") * factor) for edge, factor in zip(edges, scale * 2, strict=True)
        )
    except ValueError:
        raise ValueError(f"its bndbox is not four numbers: {edges}") from None
    height, width = image.shape
    # Some programs count pixels from 1, and some the pixel behind the last.
    left, top = (0 if edge == -1 else edge for edge in (left, top))
    right, bottom = right - (right == width + 1), bottom - (bottom == height + 1)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(
            f"its box {left}, {top} to {right}, {bottom} is outside the picture of "
            f"{width} x {height} px"
        )
    return left, top, right, bottom


def form(source: Source, path: Path, name: str, size: int = 28) -> Dataset:
    """Scanned forms with their ground truth: a CSV file and a template.

    The CSV has a column for the image, optionally ``page`` (of the file) and ``form_page`` (of the
    template; by default the same), and one for each field with what is written, cell by cell
    (``_`` for an empty cell). Cells are cut by the code that workers use; their crops, uint8
    (size, size), are the samples, grouped by document.
    """
    if not source.form:
        raise UsageError(f"source {name}: a form source needs form = the template's path")
    try:
        template = Form.load(existing(path.parent / source.form, "file"))
    except FormError as error:
        raise UsageError(f"source {name}: {error}") from None
    lines = from_csv(existing(path, "file"))
    if lines and source.image_column not in lines[0]:
        raise UsageError(f"{path}: no column {source.image_column}: name it with image_column")
    result = Dataset()
    fields = {each.name for each in template.all_fields}
    known = {*fields, source.image_column, source.group_column, "page", "form_page"}
    for column in lines[0] if lines else ():
        if column not in known:
            reason = f"the column {column} is not a field of {source.form}"
            result.problems.append(Problem(path.name, reason))
    for number, line in enumerate(lines, 2):
        where = f"{path.name} row {number}: {line[source.image_column]}"
        try:
            cells = _cells(source, template, path, line, size)
        except ItemError as error:
            result.problems.append(Problem(where, f"{error.code}: {error.message}"))
        except OSError as error:
            result.problems.append(Problem(where, f"cannot be read ({error.strerror})"))
        except ValueError as error:
            result.problems.append(Problem(where, str(error)))
        else:
            _label(source, template, cells, line, (name, where), result)
    return result


def _cells(
    source: Source, template: Form, path: Path, line: dict[str, str], size: int
) -> PageCells:
    """The cells of a row's page. Raises ItemError, OSError or ValueError."""
    page_number = _number(line, "form_page") or _number(line, "page") or 1
    if page_number > template.page_count:
        raise ValueError(
            f"{source.form} has {template.page_count} pages, but no page {page_number}: say in "
            "form_page which of them this is"
        )
    scans = path.parent / source.images if source.images else path.parent
    scan = (scans / line[source.image_column]).read_bytes()
    return cut_page(decode_page(scan, _number(line, "page") or 1), template, page_number, size)


def _number(line: dict[str, str], column: str) -> int | None:
    text = line.get(column, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"its {column} is {text!r}: write a number from 1")
    return int(text)


def _label(
    source: Source,
    template: Form,
    cells: PageCells,
    line: dict[str, str],
    names: tuple[str, str],
    result: Dataset,
) -> None:
    """Add samples of a page's cells, labelled with what a row says is written in them."""
    name, where = names
    image = line[source.image_column]
    group = line.get(source.group_column, "") if source.group_column else ""
    group = group or group_of(source, image) or Path(image).stem
    positions: dict[str, list[int]] = {}
    for at, cell in enumerate(template.cells(cells.page_number)):
        positions.setdefault(cell.field, []).append(at)
    for field, places in positions.items():
        written = line.get(field)
        if written is None:
            continue
        if len(written) != len(places):
            reason = f"{field} has {len(places)} cells, its truth is {written!r}"
            result.problems.append(Problem(where, reason))
            continue
        for at, label in zip(places, written, strict=True):
            place = f"{where} {field}[{places.index(at)}]"
            if label == "_":
                continue
            if cells.empty[at]:
                result.problems.append(Problem(place, f"no ink where {label!r} should be"))
            else:
                result.samples.append(Sample(cells.crops[at], label, name, place, group))
