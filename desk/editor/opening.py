"""From a dropped file to a draft: pages with proposed boxes, or a template's own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from inkmill.desk.editor.content import Content, appended, read_template, taken_apart
from inkmill.desk.editor.draft import MOST_PAGES, MOST_SCANS, Draft, DraftPage, DraftScan
from inkmill.desk.editor.drafts import Drafts, Found
from inkmill.errors import ItemError, UsageError
from inkmill.imagefile.sniff import HEAD_BYTES, read_header, refused, sniff
from inkmill.template.form import Form

if TYPE_CHECKING:
    from inkmill.desk.imaging.children import Imaging
    from inkmill.settings import Settings


@dataclass(frozen=True)
class _Read:
    """Pages of a file, the content proposed for them, and what a person should know."""

    pages: tuple[DraftPage, ...]
    content: Content
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Opener:
    """Opens files for ``person``: an image or PDF becomes pages, a YAML file a template."""

    drafts: Drafts
    imaging: Imaging
    settings: Settings
    person: str

    def open(self, name: str, data: bytes) -> Found:
        """A new draft of a file called ``name``.

        Raises UsageError that names the file and says what is wrong with it.
        """
        head = data[:HEAD_BYTES]
        if not (sniff(head) or refused(head)) and (text := _text(data)) is not None:
            return self.open_form(read_template(text, name))
        draft_id = self.drafts.new_id()
        read = self._read(draft_id, name, data, first=1)
        form_name = _form_name(PurePosixPath(name).stem.removesuffix(".draft"))
        draft = Draft(
            template={**read.content, "name": form_name},
            pages=read.pages,
            notes=read.notes,
            person=self.person,
            changed=time.time(),
        )
        return self.drafts.create(draft_id, draft)

    def open_form(self, form: Form) -> Found:
        """A new draft of a template: over its blanks, or drawn as it would be printed."""
        if form.page_count > MOST_PAGES:
            raise UsageError(
                f"{form.name} has {form.page_count} pages: the editor takes {MOST_PAGES}"
            )
        draft_id = self.drafts.new_id()
        content = self._without_blanks(draft_id, form.content())
        pages = tuple(
            self._page_of(draft_id, form, number) for number in range(1, form.page_count + 1)
        )
        draft = Draft(template=content, pages=pages, person=self.person, changed=time.time())
        return self.drafts.create(draft_id, draft)

    def add_pages(self, found: Found, name: str, data: bytes) -> Found:
        """The draft with the pages of a further file behind its own."""
        first = max((page.number for page in found.draft.pages), default=0) + 1
        read = self._read(found.id, name, data, first)
        draft = found.draft.model_copy(
            update={
                "template": appended(found.draft.template, read.content, first),
                "pages": (*found.draft.pages, *read.pages),
                "notes": read.notes,
            }
        )
        return self.drafts.change(found.id, draft, found.etag)

    def add_scan(self, found: Found, name: str, data: bytes) -> Found:
        """The draft with the pages of a scan to try it on, as far as there is room for them."""
        room = MOST_SCANS - len(found.draft.scans)
        if room <= 0:
            raise UsageError(
                f"a draft is tried on {MOST_SCANS} scans: remove one before you add {name}"
            )
        scans = list(found.draft.scans)
        for page in range(1, min(room, self._count(name, data)) + 1):
            answer = self._ask(name, "scan", data, page=page)
            digest = self.drafts.keep(found.id, answer.blobs[0])
            scan = DraftScan(name=name[:200], picture=digest, size=answer.head["size"], page=page)
            scans = [each for each in scans if each.picture != digest] + [scan]
        draft = found.draft.model_copy(update={"scans": tuple(scans)})
        return self.drafts.change(found.id, draft, found.etag)

    # --- by the imaging processes ------------------------------------------------------------

    def _read(self, draft_id: str, name: str, data: bytes, first: int) -> _Read:
        """The pages of a file, numbered from ``first``, and what was found on them."""
        count = self._count(name, data)
        if first + count - 1 > MOST_PAGES:
            raise UsageError(
                f"{name} has {count} pages: a form has at most {MOST_PAGES}; give one filled or "
                "blank copy of the form"
            )
        answer = self._ask(name, "pages", data, parts=count)
        head = answer.head
        pages = tuple(
            DraftPage(
                number=first + index,
                picture=self.drafts.keep(draft_id, picture),
                size=head["sizes"][index],
                box=head["boxes"][index],
            )
            for index, picture in enumerate(answer.blobs)
        )
        content = self._without_blanks(draft_id, head["template"])
        return _Read(pages, content, tuple(head["notes"]))

    def _without_blanks(self, draft_id: str, content: Content) -> Content:
        """The content, its blanks stored as pictures of the draft."""
        apart, pictures = taken_apart(content)
        for picture in pictures.values():
            self.drafts.keep(draft_id, picture)
        return apart

    def _page_of(self, draft_id: str, form: Form, number: int) -> DraftPage:
        blank = form.registration_of(number).blank
        if blank is None:
            content = form.model_dump_json(by_alias=True).encode()
            answer = self.imaging.ask("draw", [content], page=number)
            picture, size, box = answer.blobs[0], answer.head["size"], answer.head["box"]
        else:
            header = read_header(blank.data(), 1)
            picture, size, box = blank.data(), (header.width, header.height), blank.box
        digest = self.drafts.keep(draft_id, picture)
        return DraftPage(number=number, picture=digest, size=size, box=box)

    def _count(self, name: str, data: bytes) -> int:
        return int(self._ask(name, "count", data).head["pages"])

    def _ask(self, name: str, task: str, data: bytes, **values: Any) -> Any:
        """An answer about a file. Raises UsageError that names the file."""
        try:
            return self.imaging.ask(
                task,
                [data],
                max_pixels=self.settings.max_pixels,
                max_pages=self.settings.max_pages,
                **values,
            )
        except ItemError as error:
            raise UsageError(f"{name}: {error.message}") from None


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8-sig") if data.strip() else None
    except UnicodeDecodeError:
        return None


def _form_name(name: str) -> str:
    """A form's name from a file's."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name.lower())
    return kept.strip("-._")[:60] or "form"
