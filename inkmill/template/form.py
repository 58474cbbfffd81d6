"""The form template: the fields and marks of a page, as frozen and validated data.

A template is YAML (see docs/reference/template.md). Positions are millimetres from the page's
top left corner (``unit: mm``), or fractions of the frame between the four marks (``unit: frame``:
the first mark's centre is 0, 0 and the third's 1, 1). Nothing here needs a resolution, and nothing
here looks at pixels: `inkmill.forms` does.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from inkmill.errors import FormError
from inkmill.template import consistency
from inkmill.template.fields import Check, FieldTable, FormField
from inkmill.template.pagecode import PageCode
from inkmill.template.parts import Box, Part, Size
from inkmill.template.patterns import check_pattern, match_part
from inkmill.template.registration import Marks, Registration
from inkmill.template.rule import Rule
from inkmill.template.text import Problem, explain, problems, read_yaml

__all__ = ["Cell", "Form", "FormError", "FormField", "Marks", "PageCode", "Registration", "Rule"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One box that the model reads: its field, its place in it, and its rectangle.

    ``box`` is (left, top, width, height) in the template's unit.
    """

    field: str
    index: int
    box: Box


class PageSize(Part):
    """The page in its unit. With ``unit: frame``, ``aspect`` is the frame's height by width."""

    width: Size | None = None
    height: Size | None = None
    unit: Literal["mm", "frame"] = "mm"
    aspect: Size | None = None

    @model_validator(mode="after")
    def _sized(self) -> PageSize:
        if self.unit == "mm" and (self.width is None or self.height is None):
            raise ValueError("a page in mm needs a width and a height")
        return self

    @property
    def unit_aspect(self) -> float | None:
        """A vertical unit divided by a horizontal one, None if only scans show it."""
        return 1.0 if self.unit == "mm" else self.aspect

    @property
    def sheet_ratio(self) -> float | None:
        """The sheet's longer side divided by its shorter one, None if unknown."""
        if self.unit == "frame" or self.width is None or self.height is None:
            return None
        return max(self.width, self.height) / min(self.width, self.height)


class DocumentKey(Part):
    """Where the key comes from that holds a document's pages together."""

    source: Annotated[Literal["source", "code", "field"], Field(alias="from")]
    pattern: str | None = None
    field: str | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        check_pattern(pattern)
        if re.compile(pattern).groups != 1:
            raise ValueError("put one pair of round brackets around the part that is the key")
        return pattern

    @model_validator(mode="after")
    def _complete(self) -> DocumentKey:
        if (self.source == "field") != (self.field is not None):
            raise ValueError("field: NAME is required with from: field, and allowed only with it")
        return self

    def of_text(self, text: str) -> str:
        """The key in a source or a code's content; empty when the pattern finds none."""
        if self.pattern is None:
            return text
        found = match_part(self.pattern, text)
        return found.group(1) or "" if found else ""


class PageSide(Part):
    """One of several pages or sides; what it does not say is as for the first page."""

    number: Annotated[int, Field(ge=1)]
    side: Literal["front", "back"] = "front"
    registration: Registration | None = None


class Form(Part):
    """A template, complete and valid. See the module's text and docs/reference/template.md."""

    inkmill_form: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$")]
    page: PageSize
    registration: Registration
    pages: tuple[PageSide, ...] = ()
    document_key: DocumentKey | None = None
    dropout: Annotated[
        tuple[Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")], ...], Field(max_length=8)
    ] = ()
    fields: tuple[FormField, ...] = ()
    tables: tuple[FieldTable, ...] = ()
    checks: tuple[Check, ...] = ()

    # --- reading and writing -----------------------------------------------------------------

    @classmethod
    def load(cls, path: Path | str) -> Form:
        """The template in a file; raises FormError naming file, line and field."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FormError(f"{path}: cannot be read as a template: {error}") from error
        return cls.parse(text, str(path), folder=path.parent)

    @classmethod
    def parse(cls, text: str, name: str = "template", folder: Path | None = None) -> Form:
        """The template in ``text``; ``name`` is what errors call it.

        ``folder`` is where a blank named by file is looked for; without it none may be named.
        """
        data, lines = read_yaml(text, name)
        _take_in_blanks(data, folder, name)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise explain(error, data, lines, name, cls) from error

    @classmethod
    def problems(cls, content: dict[str, Any]) -> list[Problem]:
        """What is wrong with a template's content, each with its place; empty if it is valid."""
        try:
            cls.model_validate(content)
        except ValidationError as error:
            return problems(error, content, cls)
        return []

    def to_text(self) -> str:
        """The template as YAML that holds all it needs, blank included."""
        return yaml.safe_dump(self.content(), sort_keys=False, allow_unicode=True, width=100)

    def content(self) -> dict[str, Any]:
        """The template as plain values, without defaults; `Form.model_validate` takes it back."""
        return self.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude_none=True
        ) | {"inkmill_form": self.inkmill_form}

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical content: layout, comments and defaults do not matter."""
        content = json.dumps(self.content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    # --- fields and cells ---------------------------------------------------------------------

    @cached_property
    def all_fields(self) -> tuple[FormField, ...]:
        """Fields in the order of the template, then those of the tables, row by row."""
        return self.fields + tuple(field for table in self.tables for field in table.fields())

    @property
    def page_count(self) -> int:
        """The number of pages of a complete document of this form."""
        return max(
            [1, *(side.number for side in self.pages), *(field.page for field in self.all_fields)]
        )

    def page_fields(self, page_number: int) -> tuple[FormField, ...]:
        """The fields on a page (from 1), in order."""
        return tuple(field for field in self.all_fields if field.page == page_number)

    def cells(self, page_number: int) -> tuple[Cell, ...]:
        """The cells of a page that the model reads, field by field, each from left to right."""
        return tuple(
            Cell(field.name, index, box)
            for field in self.page_fields(page_number)
            if field.read and not field.strip
            for index, box in enumerate(field.cells.rectangles())
        )

    def strips(self, page_number: int) -> tuple[FormField, ...]:
        """The fields of a page that are numbers in a box of their own, in order."""
        return tuple(field for field in self.page_fields(page_number) if field.strip)

    @cached_property
    def has_strips(self) -> bool:
        """Whether any page has a number without cells, for which another model is needed."""
        return any(field.strip for field in self.all_fields)

    def registration_of(self, page_number: int) -> Registration:
        """How this page is located."""
        for side in self.pages:
            if side.number == page_number and side.registration is not None:
                return side.registration
        return self.registration

    def has_own_place(self, page_number: int) -> bool:
        """Whether a page has a registration of its own, unlike pages that look as the first."""
        return page_number == 1 or any(
            side.number == page_number and side.registration is not None for side in self.pages
        )

    def code_of(self, page_number: int) -> PageCode | None:
        """The page's code, if its content says which template or page it is."""
        code = self.registration_of(page_number).code
        return code if code is not None and code.identifies else None

    @cached_property
    def code_keys(self) -> bool:
        """Whether the patterns of page codes say the document's key."""
        codes = (self.code_of(number) for number in range(1, self.page_count + 1))
        return any(code is not None and "document" in code.groups for code in codes)

    @property
    def has_keys(self) -> bool:
        """Whether documents have keys: ``document_key``, or page codes that say the document."""
        return self.document_key is not None or self.code_keys

    @property
    def keys_from_code(self) -> bool:
        """Whether documents have their keys from page codes."""
        return self.code_keys or (
            self.document_key is not None and self.document_key.source == "code"
        )

    def key_of_code(self, text: str, page_number: int) -> str:
        """The document's key in the content of a page's code; empty if it holds none."""
        key, code = self.document_key, self.code_of(page_number)
        if self.code_keys:
            said = code.read(text) if code is not None else None
            return said.document or "" if said is not None else ""
        return key.of_text(text) if key is not None and key.source == "code" else ""

    @property
    def max_residual(self) -> float:
        """Above this, in the page's unit, a page counts as not located."""
        return self.registration.max_residual or (1.0 if self.page.unit == "mm" else 0.006)

    @property
    def needs_colour(self) -> bool:
        """Whether pages must be decoded in colour: for lines in a drop-out colour."""
        return bool(self.dropout)

    def names_in(self, pattern: str) -> tuple[str, ...]:
        """The fields that a name in a check stands for; ``votes_*`` is all that begin so."""
        if pattern.endswith("*"):
            return tuple(f.name for f in self.all_fields if f.name.startswith(pattern[:-1]))
        return (pattern,)

    @model_validator(mode="after")
    def _consistent(self) -> Form:
        consistency.check(self)
        return self


def _take_in_blanks(data: dict[str, Any], folder: Path | None, name: str) -> None:
    """Replace ``blank: file.png`` by the file's content, for the first and further pages."""
    page = data.get("page")
    sides = data.get("pages")
    places = [data.get("registration")]
    if isinstance(sides, list):
        places += [side.get("registration") for side in sides if isinstance(side, dict)]
    for place in places:
        if not isinstance(place, dict) or not isinstance(place.get("blank"), str | dict):
            continue
        blank = place["blank"] if isinstance(place["blank"], dict) else {"file": place["blank"]}
        if "file" not in blank:
            continue
        if folder is None:
            raise FormError(f"{name}: a blank that names a file needs the template's folder")
        try:
            data_bytes = (folder / str(blank["file"])).read_bytes()
        except OSError as error:
            raise FormError(f"{name}: the blank {blank['file']} cannot be read: {error}") from error
        whole = [0.0, 0.0, page.get("width"), page.get("height")] if isinstance(page, dict) else []
        place["blank"] = {
            "png": base64.b64encode(data_bytes).decode("ascii"),
            "box": blank.get("box", whole),
        }
