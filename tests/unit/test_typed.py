"""What people type, and the value that it means: the same that the machine makes of the paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from openpyxl import load_workbook

from inkmill.codes import Status
from inkmill.errors import UsageError
from inkmill.forms.cut.recut import cut_again
from inkmill.people import audit, lists, review
from inkmill.producer import results
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import cell, form, row

ZERO = "3|type: number, unused: leading, empty: zero"
CODE = "3|type: code, none: X"
OPTIONAL = "3|type: number, unused: leading, optional: true"


def keyed(path: Path, *answers: str) -> Path:
    """Type into a list's last column, from its first line on."""
    book = load_workbook(path)
    sheet = book.worksheets[0]
    for line, answer in enumerate(answers, 2):
        sheet.cell(line, sheet.max_column, answer)
    book.save(path)
    return path


def fields(cluster: FakeCluster, job: str) -> dict[str, tuple[str, Status]]:
    (page,) = results(job, connection=cluster.connection)
    return {each.name: (each.value, each.status) for each in page.fields}


def in_review(cluster: FakeCluster, field: str, raw: str, folder: Path) -> tuple[str, Path]:
    """A job of one page whose only field is in review, and its list."""
    template = form({"a": field})
    doubtful = {("a", n): cell(symbol, 0.6) for n, symbol in enumerate(raw)}
    job = finished_job(cluster, template, [row(template, 0, {"a": raw}, doubtful)])
    path = folder / "list.xlsx"
    assert review.export(cluster.connection, job, path, cut_again) == 1
    return job, path


def take_in(cluster: FakeCluster, path: Path) -> None:
    review.import_list(cluster.connection, lists.read(path), "anna")


@pytest.mark.parametrize(
    ("field", "raw", "remedy"),
    [
        (CODE, "1?3", "_ if nothing is, X if it is crossed out"),  # shown beside a proposal
        (OPTIONAL, "_1?", "_ if nothing is"),
        ("3|type: code, none: [X, '-']", "XX-", "_ if nothing is, X if it is crossed out"),
    ],
)
def test_a_point_where_no_value_is_shown_is_refused_with_the_remedy(
    cluster: FakeCluster, tmp_path: Path, field: str, raw: str, remedy: str
) -> None:
    job, path = in_review(cluster, field, raw, tmp_path)
    with pytest.raises(UsageError, match=r"nothing was imported: line 2, a: '\.' says") as refused:
        take_in(cluster, keyed(path, "."))
    assert str(refused.value).endswith(remedy)
    assert fields(cluster, job)["a"][1] is Status.REVIEW


@pytest.mark.parametrize(
    ("field", "raw", "typed", "value"),
    [
        (ZERO, "__7", "_", "0"),
        (OPTIONAL, "__7", "_", ""),
        ("2|type: digits, unused: leading, empty: zero", "_7", "_", "0"),
        (CODE, "1?3", "X", ""),
        (CODE, "1?3", "_", ""),
        (ZERO, "__7", ".", "7"),
        (ZERO, "__7", "008", "8"),
    ],
)
def test_what_is_typed_means_what_the_same_paper_means_to_the_machine(
    cluster: FakeCluster, tmp_path: Path, field: str, raw: str, typed: str, value: str
) -> None:
    job, path = in_review(cluster, field, raw, tmp_path)
    take_in(cluster, keyed(path, typed))
    assert fields(cluster, job)["a"] == (value, Status.OK)


def test_an_audit_takes_no_word_for_a_value_that_it_did_not_show(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    template = form({"a": ZERO})
    job = finished_job(cluster, template, [row(template, n, {"a": "_10"}) for n in range(3)])
    path = tmp_path / "audit.xlsx"
    audit.sample(cluster.connection, job, 3, path, cut_again, seed=1)
    with pytest.raises(UsageError, match=r"line 3, a: '\.' says .* none is shown: type what is"):
        audit.import_list(cluster.connection, lists.read(keyed(path, "10", ".", "10")), "anna")
    found = audit.import_list(cluster.connection, lists.read(keyed(path, "10", "10", "11")), "anna")
    assert (found.whole.errors, found.whole.trials) == (1, 3)


def test_an_audit_counts_no_error_where_an_empty_field_means_zero(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    template = form({"a": ZERO})
    job = finished_job(cluster, template, [row(template, 0, {"a": "___"})])
    path = tmp_path / "audit.xlsx"
    audit.sample(cluster.connection, job, 1, path, cut_again, seed=1)
    found = audit.import_list(cluster.connection, lists.read(keyed(path, "_")), "anna")
    assert (found.whole.errors, found.whole.trials) == (0, 1)
