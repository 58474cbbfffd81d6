"""Pages that stand alone: what the policy allows, and what becomes of hostile values."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from inkmill.people import lists
from inkmill.people.lists import About, Line
from inkmill.people.report import figures
from inkmill.records.jobs import Job
from inkmill.webpage import data_uri, render

HOSTILE = """<script>alert(1)</script><img src=x onerror='alert(2)'>"'&{{ 7 * 7 }}"""


class Page(HTMLParser):
    """What a browser finds in a page: elements with their attributes, text, script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inline: dict[str, str] = {}
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style"):
            assert self._within not in self.inline
            self.inline[self._within] = data
        else:
            self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    @property
    def policy(self) -> dict[str, str]:
        (found,) = (
            attrs["content"]
            for tag, attrs in self.elements
            if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
        )
        assert found is not None
        return dict(each.split(" ", 1) for each in found.split("; "))


def checked(text: str) -> Page:
    """A page whose policy allows its own style and script, its pictures, and nothing else."""
    page = Page(text)
    hashes = {
        tag: base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        for tag, inside in page.inline.items()
    }
    assert page.policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{hashes['style']}'",
        "script-src": f"'sha256-{hashes['script']}'" if "script" in hashes else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert "unsafe-inline" not in text
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    return page


def hostile_line(picture: bytes = b"") -> Line:
    return Line(
        item=0,
        source=HOSTILE,
        page=2,
        key=HOSTILE,
        field=HOSTILE,
        raw=HOSTILE,
        value=HOSTILE,
        proposed=HOSTILE,
        reason=HOSTILE,
        picture=picture,
    )


@pytest.mark.parametrize("kind", [lists.REVIEW, lists.SECOND, lists.AUDIT])
def test_a_list_shows_hostile_values_as_text(tmp_path: Path, kind: str) -> None:
    about = About(HOSTILE, kind, sample=HOSTILE, job_id=HOSTILE)
    lines = [hostile_line(b"\x89PNG"), hostile_line()]
    assert lists.write(tmp_path / "list.html", about, iter(lines)) == 2
    page = checked((tmp_path / "list.html").read_text())
    assert (page.count("script"), page.count("img"), page.count("input")) == (1, 1, 2)
    (table,) = (attrs for tag, attrs in page.elements if tag == "table")
    assert (table["data-job"], table["data-kind"]) == (HOSTILE, kind)
    assert (table["data-sample"], table["data-job-id"]) == (HOSTILE, HOSTILE)
    (first, _) = (attrs for _, attrs in page.elements if "data-field" in attrs)
    hidden = kind == lists.AUDIT
    assert first == {
        "data-item": "0",
        "data-field": HOSTILE,
        "data-value": "" if hidden else HOSTILE,
    }
    # Source, key and field; but in an audit raw, value, proposal and reason too.
    assert page.texts.count(HOSTILE) == 2 * (2 if hidden else 6)
    assert page.texts.count(f"{HOSTILE} 2") == 2
    assert HOSTILE not in page.inline["script"]


def test_a_report_shows_hostile_values_as_text(tmp_path: Path) -> None:
    found = figures.Report(Job(HOSTILE, 0.0, form="a form", form_name=HOSTILE, form_hash="ab"))
    found.rows = 1_234
    found.models[HOSTILE] = 1
    found.fields[HOSTILE] = figures.FieldFigures(read=3, review=1, confidence=2.5)
    found.codes["WRONG_FORM"] = found.field_codes["LOW_CONFIDENCE"] = 1
    found.messages.update({"WRONG_FORM": HOSTILE, "LOW_CONFIDENCE": HOSTILE})
    found.pages["WRONG_FORM"] = [(HOSTILE, b"\xff\xd8"), (HOSTILE, b"")]
    found.examples["LOW_CONFIDENCE"] = [hostile_line()]
    found.doubtful = [hostile_line(b"\x89PNG")]
    found.compared, found.curve = 1, [(0.5, 0.01), (0.0, 0.02)]
    figures.write(found, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    page = checked(text)
    assert (page.count("script"), page.count("img"), page.count("svg")) == (0, 2, 2)
    assert "1,234" in page.texts
    assert f"Job {HOSTILE}" in page.texts
    # The field's row; of two pages the source; of two fields name and source.
    assert page.texts.count(HOSTILE) == 7
    assert page.texts.count(f"for example: {HOSTILE}") == 2
    assert not re.search(r"\{[{%]", text.replace("{{ 7 * 7 }}", ""))


def test_a_page_is_written_as_its_values_come(tmp_path: Path) -> None:
    """Lists have as many lines as a job has doubtful fields: none waits for the last."""
    (tmp_path / "long.html").write_text(
        '{% extends "base.html" %}{% block title %}{% endblock %}'
        "{% block body %}{% for each in lines %}<p>{{ each }}</p>{% endfor %}{% endblock %}"
    )
    lines = iter(range(1000))
    assert any("<p>" in piece for piece in render(tmp_path, "long", lines=lines))
    assert next(lines) < 10


def test_a_value_that_is_missing_is_an_error(tmp_path: Path) -> None:
    from jinja2 import UndefinedError

    (tmp_path / "wrong.html").write_text(
        '{% extends "base.html" %}{% block title %}{{ titel }}{% endblock %}'
        "{% block body %}{% endblock %}"
    )
    with pytest.raises(UndefinedError, match="titel"):
        list(render(tmp_path, "wrong", title="x"))


def test_a_picture_is_held_by_its_uri() -> None:
    assert data_uri(b"\x00\xff", "png") == "data:image/png;base64,AP8="
