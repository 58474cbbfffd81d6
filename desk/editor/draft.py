"""A draft: a template that may not be valid yet, and the pictures of its pages.

The template's content is what its YAML would hold, with one exception: a blank's PNG is replaced by
``sha256:`` and the digest of the picture that is stored beside the draft, so that a browser need
not carry it.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inkmill.errors import Corrupt, UsageError
from inkmill.records import codec
from inkmill.template.parts import Number, Size

_SCHEMA = 1
#: Pages of a form, and scans that a template is tried on.
MOST_PAGES, MOST_SCANS = 40, 5
#: A template's content has at most this many characters as JSON; pictures are not in it.
_MOST_CHARACTERS = 1_500_000

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pixels = Annotated[int, Field(gt=0, le=20_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DraftPage(_Part):
    """A page of the form: its picture of ``size`` pixels shows ``box`` in the template's unit."""

    number: Annotated[int, Field(ge=1, le=MOST_PAGES)]
    picture: Digest
    size: tuple[Pixels, Pixels]
    box: tuple[Number, Number, Size, Size]


class DraftScan(_Part):
    """A filled page that the template is tried on; ``page`` is its position in its file."""

    name: Annotated[str, Field(max_length=200)]
    picture: Digest
    size: tuple[Pixels, Pixels]
    page: Annotated[int, Field(ge=1)] = 1


class Draft(_Part):
    """What is stored of a draft, and what a browser edits.

    ``code_texts`` are the contents of the page codes that were read, by page: a pattern is made of
    them. ``notes`` say what was left out when boxes were proposed.
    """

    inkmill_draft: Annotated[int, Field(ge=1, le=_SCHEMA)] = _SCHEMA
    template: dict[str, Any]
    pages: Annotated[tuple[DraftPage, ...], Field(max_length=MOST_PAGES)] = ()
    scans: Annotated[tuple[DraftScan, ...], Field(max_length=MOST_SCANS)] = ()
    code_texts: dict[str, Annotated[str, Field(max_length=4_000)]] = {}
    notes: tuple[str, ...] = ()
    person: str = ""
    changed: float = 0.0

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A stored draft. Raises Corrupt, or Newer."""
        codec.refuse_newer(data, "the draft", schema=_SCHEMA, schema_field="inkmill_draft")
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise Corrupt(f"a draft cannot be read: {error.errors()[0]['msg']}", data) from error

    def encode(self) -> bytes:
        return self.model_dump_json().encode()

    def changed_to(self, sent: object, person: str) -> Draft:
        """The draft with what a browser sends: its template, code texts and scans' order.

        Pages and scans stay what they are, but may be left out. Raises UsageError for anything
        else than a draft.
        """
        if not isinstance(sent, dict) or not isinstance(sent.get("template"), dict):
            raise UsageError("what was sent is not a draft: reload the page")
        if len(json.dumps(sent["template"])) > _MOST_CHARACTERS:
            raise UsageError("the template has become too large: make several forms of it")
        kept = set(map(str, sent.get("scans", [scan.picture for scan in self.scans])))
        texts = sent.get("code_texts", self.code_texts)
        try:
            return Draft(
                template=sent["template"],
                pages=self.pages,
                scans=tuple(scan for scan in self.scans if scan.picture in kept),
                code_texts=texts,
                person=person,
                changed=time.time(),
            )
        except ValidationError as error:
            raise UsageError(f"what was sent is not a draft: {error.errors()[0]['msg']}") from None

    def is_as(self, other: Draft) -> bool:
        """Whether the other draft is the same, by the same person."""
        return self.model_copy(update={"changed": other.changed}) == other

    @property
    def name(self) -> str:
        """The form's name, as far as it has one."""
        return str(self.template.get("name") or "form")

    def page(self, number: int) -> DraftPage:
        """A page by its number. Raises UsageError."""
        for page in self.pages:
            if page.number == number:
                return page
        raise UsageError(f"the draft has no page {number}")
