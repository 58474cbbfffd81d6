"""The pages that `make docs` makes are those in the tree, and its Markdown is right."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest

import inkmill
from inkmill import errors, producer
from tests import docs

FUNCTIONS = [name for name in inkmill.__all__ if name != "Settings" and name[0] != "_"]


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


@pytest.mark.parametrize("name", [*FUNCTIONS, "connect", "export"])
def test_docstrings_describe_every_argument_result_and_error_with_an_example(name: str) -> None:
    function = getattr(producer, name)
    sections = dict(
        re.findall(r"^(\w+):\n((?:(?: .*)?\n)+)", f"{inspect.getdoc(function)}\n", re.M)
    )
    described = re.findall(r"^    (\w+):", sections["Args"], re.M)
    signature = inspect.signature(function)
    assert described == list(signature.parameters)
    assert ("Returns" in sections) == (signature.return_annotation != "None")
    for error in re.findall(r"^    (\w+):", sections["Raises"], re.M):
        assert issubclass(getattr(errors, error), errors.InkmillError)
    compile(textwrap.dedent(sections["Example"]), name, "exec")
    assert name in sections["Example"]


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
