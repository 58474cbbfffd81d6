"""The templates of a job: one, or several; the matching one is detected for each page.

Their text is YAML, several in one stream. Each row names the template that its page was read by,
by name and hash.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from inkmill.errors import FormError, UsageError
from inkmill.template.form import Form

#: What `inkmill form detect` writes before names are filled in: no template yet.
_DRAFT = ".draft"
_BETWEEN = "---\n"
#: What the content of a code must be: value and pattern, either of them possibly empty.
Content = tuple[str, str]


@dataclass(frozen=True)
class Templates:
    """One or several templates, by their names in order; all names and hashes differ."""

    forms: tuple[Form, ...]

    @classmethod
    def load_folder(cls, folder: Path | str) -> Templates:
        """The templates (.yaml, .yml) in a folder; drafts and subfolders are skipped.

        Raises FormError for a file that is no template, UsageError for a folder without any or
        with two that cannot be told apart.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise UsageError(f"--forms {folder}: folder not found")
        paths = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in (".yaml", ".yml")
            and not path.stem.endswith(_DRAFT)
            and path.is_file()
        )
        if not paths:
            raise UsageError(f"--forms {folder}: no template (.yaml) found")
        return cls.of([(str(path), Form.load(path)) for path in paths], f"--forms {folder}")

    @classmethod
    def of(cls, named: Sequence[tuple[str, Form]], where: str = "templates") -> Templates:
        """Templates that were read from files: (file, template) for each. Raises UsageError."""
        by_name, by_code = dict[str, str](), dict[Content, tuple[str, str]]()
        for file, form in named:
            other = by_name.setdefault(form.name, file)
            if other != file:
                raise UsageError(
                    f"{where}: {other} and {file} are both called {form.name}: give each template "
                    "its own name"
                )
            for content in _code_contents(form):
                owner, first = by_code.setdefault(content, (form.name, file))
                if owner != form.name:
                    shown = " ".join(repr(part) for part in content if part)
                    raise UsageError(
                        f"{where}: {first} and {file} have the same page code {shown}: no page "
                        "could show which of them it belongs to"
                    )
        return cls(tuple(sorted((form for _, form in named), key=lambda form: form.name)))

    @classmethod
    def parse(cls, text: str, name: str = "template") -> Templates:
        """The templates of a job's record. Raises FormError."""
        parts = re.split(f"^{_BETWEEN}", text, flags=re.MULTILINE)
        return cls(tuple(Form.parse(part, name) for part in parts))

    def to_text(self) -> str:
        """All of them as YAML that holds all they need, blanks included."""
        return _BETWEEN.join(form.to_text() for form in self.forms)

    def __iter__(self) -> Iterator[Form]:
        return iter(self.forms)

    def __len__(self) -> int:
        return len(self.forms)

    @property
    def only(self) -> Form | None:
        """The template, where there is but one."""
        return self.forms[0] if len(self.forms) == 1 else None

    @property
    def name(self) -> str:
        """Their names, for messages."""
        return ", ".join(form.name for form in self.forms)

    @cached_property
    def hash(self) -> str:
        """The template's hash; of several the SHA-256 over all of theirs."""
        if self.only is not None:
            return self.only.hash
        return hashlib.sha256("\n".join(form.hash for form in self.forms).encode()).hexdigest()

    @cached_property
    def _by_hash(self) -> dict[str, Form]:
        return {form.hash: form for form in self.forms}

    def of_hash(self, form_hash: str) -> Form | None:
        """The template of a row; None for a page whose template was not detected."""
        return self.only or self._by_hash.get(form_hash)

    def of_name(self, name: str) -> Form:
        """The template of this name. Raises UsageError that lists the names."""
        for form in self.forms:
            if form.name == name:
                return form
        raise UsageError(f"no template of this job is called {name}: it has {self.name}")

    @property
    def needs_colour(self) -> bool:
        """Whether pages must be decoded in colour, since any of them might need it."""
        return any(form.needs_colour for form in self.forms)

    @property
    def has_strips(self) -> bool:
        """Whether any of them has numbers without cells, for which another model is needed."""
        return any(form.has_strips for form in self.forms)

    @property
    def keeps_documents(self) -> bool:
        """Whether pages may belong together: by a key, or as pages of one form."""
        return any(form.has_keys or form.page_count > 1 for form in self.forms)


def _code_contents(form: Form) -> set[Content]:
    """What the form's page codes say."""
    codes = map(form.code_of, range(1, form.page_count + 1))
    return {(code.value or "", code.pattern or "") for code in codes if code is not None}


__all__ = ["FormError", "Templates"]
