"""Between a draft's content and a template: blanks in and out, and what is wrong with it."""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from inkmill.errors import FormError, UsageError
from inkmill.producer.tables.columns import check_names
from inkmill.template.form import Form
from inkmill.template.text import Problem

Content = dict[str, Any]

_DIGEST = "sha256:"
#: A PNG's signature stands for a blank where only the content is checked.
_ANY_BLANK = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode("ascii")


def _blanks(content: Content) -> Iterator[dict[str, Any]]:
    """The blanks of the first and the further pages, as far as they are any."""
    sides = content.get("pages")
    places = [content.get("registration")]
    if isinstance(sides, list):
        places += [side.get("registration") for side in sides if isinstance(side, dict)]
    for place in places:
        blank = place.get("blank") if isinstance(place, dict) else None
        if isinstance(blank, dict) and isinstance(blank.get("png"), str):
            yield blank


def taken_apart(content: Content) -> tuple[Content, dict[str, bytes]]:
    """A template's content for a draft, and its blanks by their digests."""
    apart: Content = copy.deepcopy(content)
    pictures = dict[str, bytes]()
    for blank in _blanks(apart):
        data = base64.b64decode(blank["png"])
        digest = hashlib.sha256(data).hexdigest()
        pictures[digest] = data
        blank["png"] = _DIGEST + digest
    return apart, pictures


def _filled(content: Content, picture: Callable[[str], str]) -> Content:
    """A copy with a PNG, base64, for each blank's digest."""
    whole: Content = copy.deepcopy(content)
    for blank in _blanks(whole):
        if blank["png"].startswith(_DIGEST):
            blank["png"] = picture(blank["png"].removeprefix(_DIGEST))
    return whole


@dataclass(frozen=True)
class Located:
    """What is wrong, and where in the content: ``path`` leads to a field, a check, a mark ..."""

    path: tuple[str | int, ...]
    message: str


def problems(content: Content) -> list[Located]:
    """What keeps a draft from being a template, each at its place; empty if nothing does."""
    whole = _filled(content, lambda _: _ANY_BLANK)
    told = Form.problems(whole)
    # What is wrong inside a part makes the part wrong, too: the inner one says it.
    paths = {each.path[:end] for each in told for end in range(len(each.path))}
    found = [Located(each.path, _in_words(each)) for each in told if each.path not in paths]
    if found:
        return found
    try:
        check_names([Form.model_validate(whole)])
    except FormError as error:
        return [Located(_named_in(str(error), whole), str(error))]
    return []


def _in_words(problem: Problem) -> str:
    """What is wrong, without a regular expression where it is a name."""
    if problem.path[-1:] == ("name",) and "pattern" in problem.message:
        if len(problem.path) == 1:
            return "a form's name has lower-case letters, digits, '.', '_' and '-' only"
        return "a field's name has letters, digits and _ only, and begins with a letter"
    return problem.message


def _named_in(message: str, content: Content) -> tuple[str | int, ...]:
    """The path of the field whose name an error says."""
    words = set(message.replace(":", " ").replace(",", " ").split())
    for index, field in enumerate(content.get("fields") or ()):
        if field.get("name") in words:
            return ("fields", index, "name")
    return ()


def assembled(content: Content, picture: Callable[[str], bytes]) -> Form:
    """The template of a draft; ``picture`` gives a blank by its digest.

    Raises FormError that names the first thing that is wrong.
    """
    wrong = problems(content)
    if wrong:
        raise FormError(f"the template is not complete yet: {wrong[0].message}")
    whole = _filled(content, lambda digest: base64.b64encode(picture(digest)).decode("ascii"))
    return Form.model_validate(whole)


def read_template(text: str, name: str) -> Form:
    """A template that was dropped or opened. Raises FormError, UsageError for several in one."""
    if len(list(filter(str.strip, text.split("\n---\n")))) > 1:
        raise UsageError(f"{name} holds several templates: open one at a time")
    return Form.parse(text, name)


def unit_of(content: Content) -> str:
    """The unit of a content's positions: mm or frame."""
    return str(content["page"].get("unit", "mm"))


def appended(content: Content, more: Content, first: int) -> Content:
    """A template's content with another's pages behind its own, numbered from ``first``.

    Raises UsageError if one of them has marks and the other none: their units differ.
    """
    if unit_of(content) != unit_of(more):
        raise UsageError(
            f"the draft has positions in {unit_of(content)}, these pages in {unit_of(more)}, since "
            "marks were found on one of them only: add a better scan"
        )
    fields, sides = list(content.get("fields", ())), list(content.get("pages", ()))
    taken = len(fields)
    for index, field in enumerate(more["fields"], 1):
        number = first + field.get("page", 1) - 1
        fields.append({**field, "name": f"box_{taken + index:03d}", "page": number})
    places = [more["registration"], *(side["registration"] for side in more.get("pages", ()))]
    sides += [{"number": n, "registration": place} for n, place in enumerate(places, first)]
    return {**content, "fields": fields, "pages": sides}
