"""Documents in Markdown, made from templates, and the same as HTML pages that stand alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inkmill.webpage import data_uri, render

#: Characters that Markdown takes for markup; an underscore only at the edge of a word.
_MARKUP = re.compile(r"[\\`*\[\]<>&|]|(?<!\w)_|_(?!\w)")


def markdown(template: Path, **values: object) -> str:
    """Fill in a Markdown template; a value is text wherever it stands, never markup."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - `finalize` escapes for Markdown
        loader=FileSystemLoader(template.parent),
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = lambda share, places=2: f"{share:.{places}%}"
    environment.filters["thousands"] = "{:,}".format
    text = environment.get_template(template.name).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def _escaped(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _MARKUP.sub(r"\\\g<0>", " ".join(value.splitlines()))


def to_html(text: str, title: str, pictures: Mapping[str, bytes] | None = None) -> str:
    """A Markdown document as one HTML page; ``pictures`` are the PNGs it shows, by their names."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in (child for each in tokens for child in each.children or ()):
        if token.type == "image":
            token.attrs["src"] = data_uri((pictures or {})[str(token.attrs["src"])], "png")
    # The parser escapes all text, and with "html" off no tag of the document gets through.
    body = Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704
    return "".join(render(Path(__file__).parent, "markdown", title=title, body=body))
