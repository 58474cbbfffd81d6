"""The files that pages load: styles, modules, pictures. A page names each with its digest."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parents[1] / "static"
#: A file whose digest stands in its address never changes (seconds: a year).
_FOREVER = "public, max-age=31536000, immutable"


@cache
def digest(path: str) -> str:
    """The first digits of a file's SHA-256. Raises FileNotFoundError for a name that is wrong."""
    return hashlib.sha256((FOLDER / path).read_bytes()).hexdigest()[:16]


class Files(StaticFiles):
    """The folder ``static``; kept by browsers where the address has the right digest."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        query = scope.get("query_string", b"").decode("latin-1")
        known = response.status_code in (200, 304) and query == f"v={digest(path)}"
        # Modules import each other without a digest: those are asked for each time, by ETag.
        response.headers["Cache-Control"] = _FOREVER if known else "no-cache"
        return response
