"""The pages that `make docs` makes are those in the tree, and its Markdown is right."""

from __future__ import annotations

from pathlib import Path

import pytest

import inkmill
from tests import docs


@pytest.mark.parametrize("path", docs.pages(), ids=lambda path: path.name)
def test_the_page_is_the_one_that_is_made(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == docs.pages()[path], "run `make docs`"


def test_every_public_name_is_on_the_page() -> None:
    text = docs.page()
    for name in inkmill.__all__:
        if name != "Settings" and not name.startswith("_"):
            assert f"\n### {name}\n" in text
    assert "Settings.load()" in text


def test_every_public_docstring_has_words() -> None:
    for name in inkmill.__all__:
        if not name.startswith("_"):
            assert docs.markdown(docs.public(name).__doc__ or ""), name


def test_a_signature_has_a_line_for_each_parameter_where_it_is_long() -> None:
    def short(job: str, *, partial: bool = False) -> int:
        raise NotImplementedError

    def long(paths: str, *, template: str | None = None, settings: str | None = None) -> int:
        raise NotImplementedError

    assert docs.signature(short) == "def short(job: str, *, partial: bool = False) -> int: ..."
    assert docs.signature(long).splitlines() == [
        "def long(",
        "    paths: str,",
        "    *,",
        "    template: str | None = None,",
        "    settings: str | None = None,",
        ") -> int: ...",
    ]


_DOCSTRING = """Submit ``paths``.

Arguments:
    paths: files, or
        folders
    name: the job's name

Returns:
    The job's name.

Raises:
    UsageError: for nothing at all

Example:
    job = submit("scans/")
    wait(job)

The end."""

_MARKDOWN = """Submit `paths`.

**Arguments**

- `paths`: files, or folders
- `name`: the job's name

**Returns**

The job's name.

**Raises**

- `UsageError`: for nothing at all

**Example**

```python
job = submit("scans/")
wait(job)
```

The end."""


def test_sections_of_docstrings_become_lists_and_code() -> None:
    assert docs.markdown(_DOCSTRING) == _MARKDOWN
