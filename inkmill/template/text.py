"""YAML with line numbers, and validation errors that name file, line and field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml
from pydantic import BaseModel, ValidationError

from inkmill.errors import FormError
from inkmill.suggestions import did_you_mean, is_one_for_many, misplaced, place_of, words_of

Path = tuple[str | int, ...]

#: The highest number of a template's format that this program knows.
_SCHEMA = 1
#: A template larger than this is none; keeps an alias bomb from unfolding.
_LARGEST_TEXT = 20_000_000
_LARGEST_NODES = 200_000
#: libyaml's, where PyYAML was built with it: ten times as fast.
_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(_SAFE):  # type: ignore[misc]
    """Days stay the text that they are: a day that does not exist is an error of its rule, in its
    line, and not one of YAML."""

    yaml_implicit_resolvers: ClassVar[dict[Any, list[Any]]] = {
        first: [each for each in known if each[0] != _TIMESTAMP]
        for first, known in _SAFE.yaml_implicit_resolvers.items()
    }


class Misplaced(ValueError):
    """Something wrong that concerns the whole, but is written at ``word``."""

    def __init__(self, message: str, word: str) -> None:
        super().__init__(message)
        self.word = word


def read_yaml(text: str, name: str) -> tuple[dict[str, Any], dict[Path, int]]:
    """The mapping in ``text`` and the line (from 1) of each of its entries, by path.

    Raises FormError for anything that is no YAML mapping of plain values.
    """
    if len(text) > _LARGEST_TEXT:
        raise FormError(f"{name}: {len(text):,} characters are too long for a template")
    try:
        _check_size(text)
        node = yaml.compose(text, Loader=_Loader)
        lines: dict[Path, int] = {}
        if node is not None:
            _collect_lines(node, (), lines)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506  it is a safe one
    except yaml.MarkedYAMLError as error:
        # What is missing at the end, libyaml misses on the line after the last.
        last = max(1, len(text.splitlines()))
        line = min(error.problem_mark.line + 1, last) if error.problem_mark else 1
        raise FormError(f"{name}, line {line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormError(f"{name}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise FormError(f"{name}: not a template: it must begin with `inkmill_form: 1`")
    number = data.get("inkmill_form")
    if type(number) is int and number > _SCHEMA:
        raise FormError(
            f"{name}, line {lines['inkmill_form',]}, inkmill_form: {number}, written for a newer "
            f"Inkmill (this one reads up to {_SCHEMA}): update this program"
        )
    return data, lines


def _check_size(text: str) -> None:
    """Raise ValueError for too many entries before anything is made of them: a megabyte of lists
    would take half a minute."""
    for number, _ in enumerate(yaml.parse(text, Loader=_Loader)):
        if number > 2 * _LARGEST_NODES:
            raise ValueError("too many entries for a template")


def _collect_lines(node: yaml.Node, path: Path, lines: dict[Path, int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > _LARGEST_NODES or len(path) > 30:
        raise ValueError("too many entries for a template")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                inner = (*path, key.value)
                lines[inner] = key.start_mark.line + 1
                _collect_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*path, index), lines)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a template, and where: the path in its content, and the same in words."""

    path: Path
    place: str
    message: str


def problems(error: ValidationError, data: dict[str, Any], model: type[BaseModel]) -> list[Problem]:
    """The errors of a template's content, ``data``, which is to be a ``model``."""
    found = []
    errors = error.errors(include_url=False)
    places = [tuple(each["loc"]) for each in errors]
    for each in errors[:20]:
        path: Path = tuple(each["loc"])
        # A list is only too short because what is wrong with its entries is said already.
        if each["type"] == "too_short" and any(
            p != path and p[: len(path)] == path for p in places
        ):
            continue
        cause = each.get("ctx", {}).get("error")
        if isinstance(cause, Misplaced):
            path = _path_of(cause.word, data)
        found.append(Problem(path, _place(path, data), what(each, path, model)))
    return found


def explain(
    error: ValidationError,
    data: dict[str, Any],
    lines: dict[Path, int],
    name: str,
    model: type[BaseModel],
) -> FormError:
    """All errors, one per line: ``file, line N, field votes_01: message``."""
    messages = []
    for each in problems(error, data, model):
        where = each.path
        while where and where not in lines:
            where = where[:-1]
        messages.append(f"{name}, line {lines.get(where, 1)}, {each.place}: {each.message}")
    return FormError("\n".join(messages))


def _path_of(word: str, data: dict[str, Any]) -> Path:
    """Where ``word`` is written as a field's name, else where it is used; the whole if nowhere."""
    found = [path for path, value in _values(data, ()) if value == word]
    names = [path for path in found if path[-1] == "name"]
    return next(reversed(names or found), ())


def _values(here: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every plain value below ``here``, with its path."""
    if isinstance(here, dict):
        for key, value in here.items():
            yield from _values(value, (*path, key))
    elif isinstance(here, list | tuple):
        for index, value in enumerate(here):
            yield from _values(value, (*path, index))
    else:
        yield path, here


def _place(path: Path, data: dict[str, Any]) -> str:
    """The path in words, with the field's name where it has one."""
    here: Any = data
    label = ""
    for step in path:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(here, dict) and isinstance(here.get("name"), str):
            label = f"field {here['name']}, "
    text = ""
    for step in path:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}"
    return label + (text.removeprefix(".") or "template")


def what(each: Any, path: Path, model: type[BaseModel]) -> str:
    """One of pydantic's errors in words, with what somebody may have meant."""
    if each["type"] == "extra_forbidden":
        word = str(path[-1])
        hint = misplaced(word, place_of(path), words_of(model))
        return f"the word {word!r} is not allowed here{hint}"
    if each["type"] == "missing":
        return "is missing"
    if is_one_for_many(each):
        return "is a list: begin each of its entries with a dash"
    message = str(each["msg"]).removeprefix("Value error, ")
    given = each.get("input")
    if each["type"] == "literal_error":
        expected = str(each["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        message += did_you_mean(str(given), expected) or f", not {given!r}"
    elif not isinstance(given, (dict, list, tuple)) and each["type"] != "value_error":
        message += f", not {given!r}"
    return message[:1].lower() + message[1:]
