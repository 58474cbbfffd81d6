"""How a form's page is found on a scan: marks, page code, a blank, printed lines."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from inkmill.template.pagecode import PageCode
from inkmill.template.parts import Number, Part, Point, Size

Shape = Literal["square", "circle", "L", "cross"]


class OddMark(Part):
    """One more mark, where a turned page has none: shows which side is up."""

    at: Point
    shape: Shape = "square"
    size: Size | None = None


class Marks(Part):
    """Marks, by their centres, clockwise from the top left; ``size`` is the side or diameter."""

    at: Annotated[tuple[Point, ...], Field(min_length=4, max_length=24)]
    shape: Shape = "square"
    size: Size | None = None
    odd: OddMark | None = None

    @field_validator("at")
    @classmethod
    def _spread(cls, at: tuple[Point, ...]) -> tuple[Point, ...]:
        if len(set(at)) != len(at):
            raise ValueError("two marks are at the same position")
        area = sum(
            x * at[(i + 1) % 4][1] - at[(i + 1) % 4][0] * y for i, (x, y) in enumerate(at[:4])
        )
        if area <= 0:
            raise ValueError("the first four marks must be listed clockwise from the top left")
        return at


class Blank(Part):
    """The empty form as a grey PNG, base64; ``box`` is its extent in the page's unit.

    In a file, ``blank: picture.png`` may stand for a full page: it is taken in when loaded.
    """

    png: str
    box: tuple[Number, Number, Size, Size]

    @field_validator("png")
    @classmethod
    def _decodes(cls, text: str) -> str:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
        if not data.startswith(b"\x89PNG"):
            raise ValueError("the blank must be a PNG")
        return text

    def data(self) -> bytes:
        """The PNG's bytes."""
        return base64.b64decode(self.png)


class Registration(Part):
    """How a page is located.

    ``lines: false`` says that no cell has a printed box, ``upright`` that all pages come with their
    top up. ``max_residual`` is in the page's unit; without it, 1 mm or 0.006 of the frame.
    """

    marks: Marks | None = None
    code: PageCode | None = None
    blank: Blank | None = None
    lines: bool = True
    upright: bool = False
    max_residual: Size | None = None

    @model_validator(mode="after")
    def _something(self) -> Registration:
        if self.marks is None and self.blank is None and not self.lines:
            raise ValueError(
                "without printed boxes a page is located by marks or by a blank: give one of them"
            )
        return self
