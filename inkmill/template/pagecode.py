"""A printed page code, and what its content says: the template, the page, the document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, field_validator

from inkmill.template.parts import Box, Part
from inkmill.template.patterns import LONGEST_PATTERN, check_pattern, match_all

#: The named groups that a pattern may have.
_GROUPS = ("page", "document")
#: Digits of a page's number, at most.
_LONGEST_NUMBER = 4


@dataclass(frozen=True, slots=True)
class CodeText:
    """What a code says: the number of the page, and the document's key; None for neither."""

    page: int | None = None
    document: str | None = None


class PageCode(Part):
    """A printed code: names the template, the page and the document, and shows which side is up.

    ``value`` is how its content begins; ``pattern`` matches the whole of it, with the named
    groups ``page`` and ``document``.
    """

    kind: Literal["qr", "datamatrix", "aztec", "code128", "code39", "itf", "any"] = "any"
    box: Box
    value: str | None = None
    pattern: Annotated[str, Field(max_length=LONGEST_PATTERN)] | None = None

    @field_validator("pattern")
    @classmethod
    def _named(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        check_pattern(pattern)
        names = groups_of(pattern)
        if not names or not names <= set(_GROUPS):
            raise ValueError(
                "name the parts of the code's text that say the page or the document, as in "
                r"exam-(?P<document>\d+)-(?P<page>\d+)"
            )
        return pattern

    @property
    def groups(self) -> frozenset[str]:
        """Which of ``page`` and ``document`` the content says."""
        return groups_of(self.pattern) if self.pattern is not None else frozenset()

    @property
    def identifies(self) -> bool:
        """Whether the content says which template or page it is."""
        return bool(self.value) or self.pattern is not None

    def read(self, text: str) -> CodeText | None:
        """What a code of this content says; None if it is not this template's."""
        if self.value and not fits(text, self.value):
            return None
        if self.pattern is None:
            return CodeText()
        match = match_all(self.pattern, text)
        if match is None:
            return None
        said = match.groupdict()
        document = said.get("document") or None
        if "page" not in said:
            return CodeText(None, document)
        number = said["page"] or ""
        if not (number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER):
            return None
        return CodeText(int(number), document)

    def names(self, text: str, page_number: int) -> bool:
        """Whether a code of this content can be on this page of the template."""
        said = self.read(text)
        return said is not None and said.page in (None, page_number)

    def contradiction(self, text: str, page_number: int) -> str:
        """Why a code of this content is not on this page, in words."""
        said = self.read(text)
        shown = f"the page code says {text[:80]!r}"
        if said is not None:
            return f"{shown}: page {said.page}, not page {page_number}"
        if self.value and not fits(text, self.value):
            return f"{shown}, not {self.value!r}"
        return f"{shown}, which does not match the pattern {self.pattern!r}"


def groups_of(pattern: str) -> frozenset[str]:
    """The names of a checked pattern's groups."""
    import regex

    return frozenset(regex.compile(pattern).groupindex)


def fits(content: str, value: str) -> bool:
    """Whether a code's content is the template's ``value``, or begins with it.

    "tally-1" is matched by "tally-1" and "tally-1/0042", but not by "tally-12": a number or word
    that goes on is another one. A value that ends with a sign, such as "exam-", is matched by all
    that begins with it.
    """
    rest = content.removeprefix(value)
    if not content.startswith(value):
        return False
    return not (value[-1:].isalnum() and rest[:1].isalnum())
