"""The base of all parts of a template: frozen data, positions and boxes."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = Annotated[float, Field(allow_inf_nan=False)]
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Point = tuple[Number, Number]
Extent = tuple[Size, Size]
#: left, top, width, height in the page's unit
Box = tuple[Number, Number, Size, Size]


@lru_cache(maxsize=4096)
def _row(origin: Point, size: Extent, pitch: Point, count: int) -> tuple[Box, ...]:
    """Boxes in a row. Remembered: they are asked for many times a page."""
    (x, y), (w, h), (dx, dy) = origin, size, pitch
    return tuple((x + i * dx, y + i * dy, w, h) for i in range(count))


class Part(BaseModel):
    """A part of a template: frozen, and an unknown word is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cells(Part):
    """Boxes in a row (``origin``, ``size``, ``pitch``, ``count``) or one by one (``boxes``)."""

    origin: Point | None = None
    size: Extent | None = None
    pitch: Point = (0.0, 0.0)
    count: Annotated[int, Field(ge=1, le=200)] = 1
    boxes: Annotated[tuple[Box, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _one_way(self) -> Cells:
        row = self.origin is not None and self.size is not None
        if row == bool(self.boxes) or (self.boxes and (self.origin or self.size)):
            raise ValueError("give origin and size (with pitch and count), or boxes, not both")
        if self.count > 1 and self.pitch == (0.0, 0.0):
            raise ValueError("several cells need a pitch, the step from one cell to the next")
        return self

    def rectangles(self) -> tuple[Box, ...]:
        """The boxes from first to last, each (left, top, width, height)."""
        if self.origin is None or self.size is None:
            return self.boxes
        return _row(self.origin, self.size, self.pitch, self.count)

    def moved(self, dx: float, dy: float) -> Cells:
        """The same boxes, ``(dx, dy)`` further on."""
        if self.origin is not None:
            return self.model_copy(update={"origin": (self.origin[0] + dx, self.origin[1] + dy)})
        boxes = tuple((x + dx, y + dy, w, h) for x, y, w, h in self.boxes)
        return self.model_copy(update={"boxes": boxes})
