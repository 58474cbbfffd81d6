"""HTML pages that stand alone: Jinja2 with autoescape, and a Content-Security-Policy in each.

A page is up to three files of one name beside the module that renders it: ``name.html``, which
extends ``base.html`` here, ``name.css`` and ``name.js``. Values flow in, one HTML file comes out.
It makes no request: style and script are inside, pictures are ``data:`` URIs, and the policy
allows nothing else. Values never stand in the script; it reads them from attributes.

Any room may import this. Jinja2 is loaded with the first page that is rendered.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["data_uri", "render"]


def render(folder: Path, name: str, connects: bool = False, **values: object) -> Iterator[str]:
    """Render the page ``name`` from its files in ``folder``, piece by piece.

    An iterator among ``values`` is consumed as the page is written, so that memory does not grow
    with its length. ``connects`` lets the page's script talk to the server that it came from.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["thousands"] = "{:,}".format
    style, script = _text(folder / f"{name}.css"), _text(folder / f"{name}.js")
    # These three are the project's own files and hashes of them: the only values not escaped.
    own = {"style": style, "script": script, "policy": _policy(style, script, connects)}
    marked = {key: Markup(text) for key, text in own.items()}  # noqa: S704 - no foreign value
    return environment.get_template(f"{name}.html").generate(**values, **marked)


def data_uri(data: bytes, kind: str) -> str:
    """A picture as a URI that holds it; ``kind`` is png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _policy(style: str, script: str, connects: bool) -> str:
    """What a page may load and run: pictures it holds, and this very style and script.

    A hash instead of 'unsafe-inline': whatever gets into the page in spite of the escaping does
    not run. https://www.w3.org/TR/CSP3/#external-hash
    """
    return "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_source(style)}",
            f"script-src {_source(script)}",
            *(["connect-src 'self'"] if connects else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _source(text: str) -> str:
    if not text:
        return "'none'"
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
