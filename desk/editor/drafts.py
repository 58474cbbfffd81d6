"""Drafts and saved templates in the bucket.

A draft is a record and pictures named by their content, below `inkmill.names.draft_root`. Its
record changes only if nobody else changed it (``If-Match``), so two windows cannot overwrite each
other unnoticed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from inkmill import names
from inkmill.backends.store import Store, delete_prefix
from inkmill.desk.editor.content import assembled, read_template
from inkmill.desk.editor.draft import Draft
from inkmill.errors import Corrupt, NotFound, PreconditionFailed, UsageError
from inkmill.template.form import Form

_RECORD = "/draft.json"
#: What a person reads whose changes come second.
CHANGED = (
    "meanwhile {who} changed this draft, and your last changes are not stored: keep them as a "
    "draft of their own, or reload the page to go on with the other version"
)


@dataclass(frozen=True)
class Found:
    """A draft as stored: its id, and the etag that a change must name."""

    id: str
    draft: Draft
    etag: str


class Drafts:
    """The drafts of all people of a desk, and the templates that they saved."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- drafts ------------------------------------------------------------------------------

    def new_id(self) -> str:
        """An id for a draft whose pictures are stored before its record."""
        return secrets.token_hex(8)

    def create(self, draft_id: str, draft: Draft) -> Found:
        """Store a draft's record; its pictures are there already."""
        key = names.draft_record(draft_id)
        return Found(draft_id, draft, self._store.put(key, draft.encode(), if_none_match=True))

    def load(self, draft_id: str) -> Found:
        """A draft. Raises NotFound."""
        try:
            stored = self._store.get(names.draft_record(draft_id))
        except NotFound:
            raise NotFound(
                f"there is no draft {draft_id}: it was deleted, or the address is wrong"
            ) from None
        return Found(draft_id, Draft.decode(stored.data), stored.etag)

    def change(self, draft_id: str, draft: Draft, etag: str) -> Found:
        """Replace a draft. Raises PreconditionFailed if somebody else changed it meanwhile."""
        key = names.draft_record(draft_id)
        try:
            return Found(draft_id, draft, self._store.put(key, draft.encode(), if_match=etag))
        except PreconditionFailed:
            raise PreconditionFailed(CHANGED.format(who="somebody")) from None

    def copy(self, draft_id: str, draft: Draft) -> Found:
        """Store a draft with the pictures of another one, under an id of its own."""
        made = self.new_id()
        for entry in self._store.list(names.draft_root(draft_id)):
            if not entry.key.endswith(_RECORD):
                self.keep(made, self._store.get(entry.key).data)
        return self.create(made, draft)

    def delete(self, draft_id: str) -> None:
        """Delete a draft and its pictures. The template that was saved of it stays."""
        self._store.delete([names.draft_record(draft_id)])
        delete_prefix(self._store, names.draft_root(draft_id))

    def all(self) -> Iterator[Found]:
        """Every draft, in no particular order; damaged ones are left out."""
        for entry in self._store.list(names.DRAFTS):
            if entry.key.endswith(_RECORD):
                draft_id = entry.key.removeprefix(names.DRAFTS).removesuffix(_RECORD)
                try:
                    yield self.load(draft_id)
                except (Corrupt, UsageError):
                    continue

    def keep(self, draft_id: str, picture: bytes) -> str:
        """Store a picture of a draft; returns its digest."""
        digest = hashlib.sha256(picture).hexdigest()
        self._store.put(names.draft_picture(draft_id, digest), picture)
        return digest

    def picture(self, draft_id: str, digest: str) -> bytes:
        """A picture of a draft. Raises NotFound."""
        return self._store.get(names.draft_picture(draft_id, digest)).data

    def form(self, found: Found) -> Form:
        """The template of a draft. Raises FormError that says what is missing."""
        return assembled(found.draft.template, lambda digest: self.picture(found.id, digest))

    # --- saved templates ---------------------------------------------------------------------

    def save(self, form: Form) -> None:
        """Keep a template under its name, for jobs of this desk; an older one is replaced."""
        self._store.put(names.saved_form(form.name), form.to_text().encode())

    def saved(self) -> list[str]:
        """The names of the saved templates."""
        keys = (entry.key.removeprefix(names.FORMS) for entry in self._store.list(names.FORMS))
        return [key.removesuffix(".yaml") for key in keys if key.endswith(".yaml")]

    def open_saved(self, name: str) -> Form:
        """A saved template. Raises NotFound, FormError."""
        try:
            data = self._store.get(names.saved_form(name)).data
        except NotFound:
            raise NotFound(f"no template {name} is saved at this desk") from None
        return read_template(data.decode(), f"the saved template {name}")
