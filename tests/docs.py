"""Writes the parts of docs/reference that repeat what the code says: ``make docs``.

python.md is made from signatures and docstrings: Markdown with double backticks, and perhaps
sections in Google's style (Arguments, Returns, Raises, Example). In settings.md and
training-config.md only the column of meanings is made, from the descriptions of the fields.
Unit tests say that the pages in the tree are those that this makes.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import inkmill
from inkmill import errors, producer
from inkmill.records import codec, columnar, rows
from inkmill.records.rows import CellReading, FieldResult, Row
from inkmill.trainer import config
from inkmill.trainer.settings.sources import Source

REFERENCE = Path(__file__).parents[1] / "docs/reference"

#: What the functions of the package return, take, or call back with.
_TYPES = (producer.JobStatus, Row, FieldResult, CellReading, producer.Connection, producer.Sending)
_MORE = (producer.connect, producer.export)
_WIDTH = 88

_LISTS = ("Arguments", "Args", "Attributes", "Raises")
_TEXTS = ("Returns", "Yields")
_EXAMPLES = ("Example", "Examples")
_SECTION = re.compile(rf"^({'|'.join((*_LISTS, *_TEXTS, *_EXAMPLES))}):$")

_HEAD = """# Python API

<!-- Written by `make docs` from signatures and docstrings: change those, not this page. -->

How to use these functions is shown in [Use Inkmill from Python](../how-to/use-from-python.md).
"""


def page() -> str:
    """python.md."""
    parts = [_HEAD, "## Functions", "Import these from `inkmill`."]
    names = [name for name in inkmill.__all__ if not name.startswith("_")]
    functions = {name: public(name) for name in names if not inspect.isclass(public(name))}
    for name in _in_order(functions):
        parts += function(functions[name])
    parts += ["## Further functions", "Import these from `inkmill.producer`."]
    for each in _MORE:
        parts += function(each)
    parts += ["## Settings", *_settings(), "## Types"]
    for kind in _TYPES:
        parts += record(kind)
    parts += ["## Errors", markdown(_tree()), *_errors()]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def public(name: str) -> Any:
    """What a name of the package stands for."""
    found = getattr(inkmill, name)
    # A module of the package that is called like a function hides it once it is imported.
    return getattr(producer, name) if inspect.ismodule(found) else found


def _in_order(functions: dict[str, Any]) -> list[str]:
    """In the order in which a job meets them; others follow by name."""
    known = ("submit", "wait", "results", "status", "jobs", "resume", "cancel", "delete")
    return [*(name for name in known if name in functions), *sorted(functions.keys() - set(known))]


def function(what: Any) -> list[str]:
    """Heading, signature and docstring of a function."""
    return [f"### {what.__name__}", _fence(signature(what)), markdown(inspect.getdoc(what) or "")]


def signature(what: Any) -> str:
    """The definition in one line, or with a line for each parameter."""
    found = inspect.signature(what)
    parameters, starred = [], False
    for each in found.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not starred:
            parameters.append("*")
            starred = True
        parameters.append(_parameter(each))
    returns = f" -> {_type(found.return_annotation)}"
    short = f"def {what.__name__}({', '.join(parameters)}){returns}: ..."
    if len(short) <= _WIDTH:
        return short
    lines = "".join(f"    {each},\n" for each in parameters)
    return f"def {what.__name__}(\n{lines}){returns}: ..."


def _parameter(each: inspect.Parameter) -> str:
    text = f"{each.name}: {_type(each.annotation)}"
    if each.default is each.empty:
        return text
    # As the formatter writes it, which reads code in Markdown, too.
    default = json.dumps(each.default) if isinstance(each.default, str) else repr(each.default)
    return f"{text} = {default}"


#: Names for annotated types: columns of Parquet objects, bounded fields of records.
_ANNOTATED = {
    name
    for module in (codec, columnar, rows)
    for name, value in vars(module).items()
    if get_origin(value) is Annotated
}


def _type(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _field_type(kind: type, each: Field[Any]) -> str:
    """The type of a field, without what it is annotated with for its encoding."""
    if not any(word in str(each.type) for word in ("Annotated", *_ANNOTATED)):
        return _type(each.type)
    inner = get_type_hints(kind)[each.name]
    return re.sub(r"\b[a-z_]+\.(?=\w)", "", inspect.formatannotation(inner))


def record(kind: type) -> list[str]:
    """Heading, docstring and fields of a class."""
    parts = [f"### {kind.__name__}", markdown(inspect.getdoc(kind) or "")]
    if is_dataclass(kind):
        lines = ["| attribute | type | default |", "| --- | --- | --- |"]
        for each in fields(kind):
            if not each.name.startswith("_"):
                kinds = _escaped(_field_type(kind, each))
                lines.append(f"| `{each.name}` | `{kinds}` | {_default(each)} |")
        parts.append("\n".join(lines))
    for name, each in vars(kind).items():
        if isinstance(each, property) and not name.startswith("_"):
            parts.append(f"`{name}` (property): {_line(inspect.getdoc(each) or '')}")
    return parts


def _default(each: Field[Any]) -> str:
    """A status as its text, not as Python shows a member of an enumeration."""
    if each.default is not MISSING:
        plain = str(each.default) if isinstance(each.default, str) else each.default
        return f"`{plain!r}`"
    if each.default_factory is not MISSING:
        return f"`{getattr(each.default_factory, '__name__', 'computed')}()`"
    return "required"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _settings() -> Iterator[str]:
    yield _fence("from inkmill import Settings\n\nsettings = Settings.load()")
    yield markdown(inspect.getdoc(inkmill.Settings) or "")
    yield (
        "`Settings(...)` takes the settings by name, in lower case and without `INKMILL_`; "
        "`Settings.load()` reads the environment and `inkmill.toml`. Names, defaults and meanings "
        "are in the [settings reference](settings.md)."
    )


def _tree() -> str:
    """The drawing of the errors in their module's docstring."""
    return inspect.cleandoc(errors.__doc__ or "")


def _errors() -> Iterator[str]:
    lines = ["| error | exit code | meaning |", "| --- | --- | --- |"]
    for each in vars(errors).values():
        if inspect.isclass(each) and issubclass(each, errors.InkmillError):
            meaning = _line((inspect.getdoc(each) or "").split("\n\n")[0])
            lines.append(f"| `{each.__name__}` | {int(each.exit_code)} | {_escaped(meaning)} |")
    yield "\n".join(lines)


# --- docstrings to Markdown --------------------------------------------------------------------


def markdown(docstring: str) -> str:
    """A docstring as Markdown: single backticks, sections as lists and examples as code."""
    out: list[str] = []
    lines = docstring.replace("``", "`").splitlines()
    while lines:
        line = lines.pop(0)
        found = _SECTION.match(line)
        if found is None:
            out.append(line)
            continue
        block = []
        while lines and (not lines[0].strip() or lines[0].startswith(" ")):
            block.append(lines.pop(0))
        out += ["", f"**{found[1]}**", "", *_section(found[1], block), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")


def _section(name: str, block: list[str]) -> list[str]:
    text = textwrap.dedent("\n".join(block)).strip("\n")
    if name in _EXAMPLES:
        return _fence(text.removeprefix("::").strip("\n")).splitlines()
    if name in _TEXTS:
        return text.splitlines()
    entries = re.split(r"\n(?=\S)", text)
    return [_entry(_line(each)) for each in entries if each.strip()]


def _entry(text: str) -> str:
    name, colon, meaning = text.partition(": ")
    return f"- `{name.strip('`')}`: {meaning}" if colon else f"- {text}"


def _line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _fence(code: str) -> str:
    return f"```python\n{code}\n```"


# --- meanings ----------------------------------------------------------------------------------


def settings_page() -> str:
    """settings.md with the meanings of today."""
    text = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    return re.sub(r"^\| `INKMILL_(\w+)` \|.*$", _setting, text, flags=re.MULTILINE)


def _setting(row: re.Match[str]) -> str:
    field = inkmill.Settings.model_fields.get(row[1].lower())
    return _with_meaning(row[0], field)


def training_page() -> str:
    """training-config.md with the tables of today; the text between them is written by hand."""
    text = (REFERENCE / "training-config.md").read_text(encoding="utf-8")
    parts = re.split(r"(?m)^(?=## )", text)
    return "".join(_training_part(part) for part in parts)


def _training_part(part: str) -> str:
    """A section with the table of its keys, as their models describe them."""
    heading = part.partition("\n")[0].removeprefix("## ").strip("[]")
    model = _training_tables().get(heading)
    if model is None:
        return part
    rows = [
        _training_row(name, field)
        for name, field in model.model_fields.items()
        if field.annotation not in _training_tables().values()
    ]
    return re.sub(r"(?m)(?<=^\| --- \| --- \| --- \|\n)(^\|.*\n)*", "".join(rows), part, count=1)


def _training_tables() -> dict[str, type[BaseModel]]:
    """Heading -> the model of its keys."""
    parts = {
        name: field.annotation
        for name, field in config.Config.model_fields.items()
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel)
    }
    return {"Top level": config.Config, "sources": Source, **parts}


def _training_row(name: str, field: FieldInfo) -> str:
    if field.is_required():
        default = "required"
    elif field.default in (None, "", (), {}):
        default = "none"
    elif field.default == config.DIGITS:
        default = "the ten digits"
    else:
        default = f"`{field.default}`"
    return f"| `{name}` | {default} | {field.description} |\n"


def _with_meaning(row: str, field: FieldInfo | None) -> str:
    """The row with what the code says of its field; as it is where the code knows none."""
    if field is None or not field.description:
        return row
    name, default, _ = row.strip("| ").split(" | ", 2)
    return f"| {name} | {default} | {field.description} |"


def pages() -> dict[Path, str]:
    """Each page that is made, as it should be."""
    return {
        REFERENCE / "python.md": page(),
        REFERENCE / "settings.md": settings_page(),
        REFERENCE / "training-config.md": training_page(),
    }


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
