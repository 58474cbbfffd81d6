"""Pictures cut from pages, by the desk's imaging processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inkmill.desk.imaging.children import Imaging
from inkmill.settings import Settings

#: One cuts what is looked at now while the other cuts ahead.
_PROCESSES = 2


class Cutter:
    """Cuts pictures in child processes, from whichever thread."""

    def __init__(self, settings: Settings) -> None:
        self._limits: dict[str, Any] = {
            "max_pixels": settings.max_pixels,
            "max_pages": settings.max_pages,
        }
        self._imaging = Imaging(_PROCESSES)

    def cut(
        self, data: bytes, page: int, form: str, views: Sequence[dict[str, Any]]
    ) -> Sequence[bytes]:
        """The pictures of ``views`` (`inkmill.forms.cut.enlarged.View`, as mappings) of a page.

        ``form`` is the template's text. Raises ItemError where the page cannot be decoded, TIMEOUT
        if that takes too long, and CRASHED if the process dies of it.
        """
        answer = self._imaging.ask(
            "cut", [data], page=page, form=form, views=list(views), **self._limits
        )
        return answer.blobs

    def by_corners(
        self,
        data: bytes,
        page: int,
        form: str,
        number: int,
        corners: Sequence[tuple[float, float]],
    ) -> tuple[list[tuple[float, float]], list[tuple[str, bytes]]]:
        """What `inkmill.forms.cut.enlarged.by_corners` makes of a page.

        Raises ItemError as `cut` does, and UNREGISTERED where these are no corners of a page.
        """
        answer = self._imaging.ask(
            "corners",
            [data],
            page=page,
            form=form,
            number=number,
            corners=list(corners),
            **self._limits,
        )
        points = [(float(x), float(y)) for x, y in answer.head["corners"]]
        return points, list(zip(answer.head["names"], answer.blobs, strict=True))

    def close(self) -> None:
        """End the processes."""
        self._imaging.close()
