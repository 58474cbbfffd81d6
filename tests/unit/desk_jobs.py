"""Jobs with doubtful fields, for tests of review at the desk."""

from __future__ import annotations

from inkmill.template.form import Form
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import cell, form, row

CODE = "4|type: code"
NUMBER = "3|type: number, unused: leading"
SUM = "  - {sum: [a, b], equals: total}\n"


def codes_job(cluster: FakeCluster, pages: int = 6, fields: int = 2) -> tuple[str, Form]:
    """Each page has codes of which the last digit is read as a 7, with a doubt that grows."""
    names = [f"code_{number}" for number in range(fields)]
    template = form(dict.fromkeys(names, CODE))
    made = []
    for item in range(pages):
        sure = 0.95 - 0.004 * (item % 100)
        doubts = {(name, 3): cell("7", sure, d1=0.99 - sure) for name in names}
        made.append(row(template, item, dict.fromkeys(names, "1237"), doubts))
    return finished_job(cluster, template, made), template


def sums_job(cluster: FakeCluster, pages: int = 3, good: int = 0) -> tuple[str, Form]:
    """On each page a sum does not come out, since a 7 was read as a 1; then ``good`` pages.

    Two fields are in review for it, and what is written in the first makes the sum right.
    """
    template = form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)
    wavering = {("a", 2): cell("1", 0.6, d7=0.39), ("b", 2): cell("1", 0.7, d7=0.29)}
    read = {"a": "_61", "b": "_41", "total": "108"}
    made = [row(template, item, read, wavering) for item in range(pages)]
    right = {"a": "_10", "b": "_20", "total": "_30"}
    made += [row(template, pages + number, right) for number in range(good)]
    return finished_job(cluster, template, made), template


def mixed_job(cluster: FakeCluster, pages: int, name: str = "mixed") -> tuple[str, int]:
    """Pages with two doubtful codes and a sum that does not come out; how many must be entered.

    On every fifth page, the first code's last digit is a 1 that was read as a 7. The sum comes out
    once its first field is keyed right.
    """
    fields = {"code_0": CODE, "code_1": CODE, "a": NUMBER, "b": NUMBER, "total": NUMBER}
    template = form(fields, SUM)
    read = {"code_0": "1237", "code_1": "1237", "a": "_61", "b": "_45", "total": "112"}
    doubts = {("a", 2): cell("1", 0.6, d7=0.39)}
    made = []
    for item in range(pages):
        sure = 0.95 - 0.0004 * (item % 1000)
        codes = {(code, 3): cell("7", sure, d1=0.99 - sure) for code in ("code_0", "code_1")}
        made.append(row(template, item, read, doubts | codes))
    return finished_job(cluster, template, made, name=name, chunk_size=8), 3 * pages


def truth_of_mixed(item: int, field: str) -> str:
    """What is written in a field of `mixed_job`."""
    if field == "code_0" and item % 5 == 0:
        return "1231"
    return {"code_0": "1237", "code_1": "1237", "a": "67", "b": "45", "total": "112"}[field]
