"""What the methods look at, and what comes of it: where the template lies on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from inkmill.forms.geometry import Matrix
from inkmill.forms.intake import Page
from inkmill.forms.locate.vision.bending import Bend
from inkmill.forms.locate.vision.evidence import Outlines
from inkmill.forms.locate.vision.overview import LONGEST, Overview
from inkmill.forms.locate.vision.snapping import Moves
from inkmill.template.form import Form
from inkmill.template.registration import Registration

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Located:
    """Where the template lies on a page.

    ``transform`` 3x3 maps template units to the file's pixels; ``residual`` is how far the printed
    boxes (else the marks) are from where it and ``bend`` put them, in template units; ``moves`` is
    how far single fields are off; ``marks`` the number of corner marks found; ``method`` how the
    page was located; ``seen`` the evidence of the printed boxes, 0 to 1; ``code`` the page code's
    content. ``bend`` is the smooth displacement of bent paper; ``lost`` are the numbers on the page
    of the fields that are not on their printed lines.
    """

    transform: Matrix
    residual: float
    moves: Moves | None
    marks: int
    method: str
    seen: float
    code: str = ""
    bend: Bend | None = None
    lost: frozenset[int] = frozenset()

    def moved(self, number: int, boxes: Sequence[Box]) -> list[Box]:
        """The boxes of field ``number`` of the page (from 0) where the page shows them.

        In template units, to be mapped by ``transform``.
        """
        table = np.array(boxes, np.float64).reshape(-1, 4)
        shift = np.zeros(2) if self.moves is None else self.moves.of(number)
        if self.bend is not None:
            shift = shift + self.bend.at(table[:, :2] + table[:, 2:] / 2)
        table[:, :2] += shift
        return [(x, y, w, h) for x, y, w, h in table.tolist()]

    def sees(self, number: int) -> bool:
        """Whether all cells of field ``number`` are on their printed lines; True if it has none."""
        return number not in self.lost


@dataclass(frozen=True)
class Scene:
    """Everything that the methods look at.

    ``straightened`` 3x3 maps the pixels of ``page``, if it was straightened, back to those of the
    page as it was decoded.
    """

    page: Page
    overview: Overview
    form: Form
    page_number: int
    outlines: Outlines
    straightened: Matrix = field(default_factory=lambda: np.eye(3))

    @property
    def to_file(self) -> Matrix:
        """3x3: the overview's pixels to the file's."""
        flat = self.straightened @ self.overview.to_page
        return np.asarray(self.page.to_file @ flat, np.float64)

    @property
    def registration(self) -> Registration:
        """The registration section of the template's page."""
        return self.form.registration_of(self.page_number)

    @classmethod
    def of(cls, page: Page, form: Form, page_number: int, longest: int = LONGEST) -> Scene:
        """The scene of a page whose overview is about ``longest`` pixels long."""
        overview = Overview.of(page.grey, page.step, longest)
        return cls(page, overview, form, page_number, Outlines.of(form, page_number))
