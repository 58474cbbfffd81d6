"""Lists that people fill in: what they hold, and what comes back after somebody worked on them."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from openpyxl import load_workbook

from inkmill import names
from inkmill.backends import event_log
from inkmill.codes import Status
from inkmill.errors import UsageError
from inkmill.forms.cut.recut import cut_again
from inkmill.lifecycle.identity import Name
from inkmill.lifecycle.lookup import read_record
from inkmill.people import lists, review
from inkmill.producer import export
from inkmill.records.jobs import Job
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form, row
from tests.unit.test_typed import CODE, fields, in_review, keyed, take_in

HEAD = "job,kind,sample,job_id,item,field,shown,typed"
GS1 = "01123\x1d21ab"


def test_a_list_holds_whatever_a_page_code_holds(cluster: FakeCluster, tmp_path: Path) -> None:
    template = form({"a": "3|type: code"})
    job = finished_job(cluster, template, [row(template, 0, {"a": "1?3"}, key=GS1)])
    path = tmp_path / "list.xlsx"
    assert review.export(cluster.connection, job, path, cut_again) == 1
    sheet = load_workbook(path).worksheets[0]
    assert sheet["D2"].value == "01123\ufffd21ab"
    take_in(cluster, keyed(path, "123"))
    assert fields(cluster, job)["a"] == ("123", Status.OK)
    table = tmp_path / "table.xlsx"
    export(job, table, connection=cluster.connection)
    assert load_workbook(table).worksheets[0]["D2"].value == "01123\ufffd21ab"


def worked_on(path: Path, **cells: str) -> Path:
    book = load_workbook(path)
    for place, text in cells.items():
        book.worksheets[0][place] = text
    book.save(path)
    return path


@pytest.fixture
def listed(cluster: FakeCluster, tmp_path: Path) -> tuple[str, Path]:
    return in_review(cluster, CODE, "1?3", tmp_path)


def test_a_note_below_the_list_changes_nothing(
    cluster: FakeCluster, listed: tuple[str, Path]
) -> None:
    job, path = listed
    take_in(cluster, worked_on(path, K2="123", A4="checked on Monday", K6="done, anna"))
    assert fields(cluster, job)["a"] == ("123", Status.OK)


@pytest.mark.parametrize(
    "cells",
    [
        {"A4": "note", "K4": "looked at by anna"},
        {"A2": "", "K2": "123"},
        {"A2": "first", "K2": "123"},
        {"A4": "7", "K4": "123"},
        {"A2": "0.5", "K2": "123"},
    ],
)
def test_a_line_that_lost_its_place_is_named(
    listed: tuple[str, Path], cells: dict[str, str]
) -> None:
    _, path = listed
    line = next(iter(cells))[1:]
    with pytest.raises(
        UsageError, match=f"line {line}: .* is typed, but .* are not an item and a field"
    ):
        lists.read(worked_on(path, **cells))


def test_a_csv_with_a_line_of_somebody_elses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "review-job.csv"
    head = HEAD.split(",")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [head, ["job", "review", "", "job", "3", "a", "1", "2"], ["by anna"]]
        )
    (entry,) = lists.read(path).entries
    assert (entry.item, entry.field, entry.shown, entry.typed, entry.row) == (3, "a", "1", "2", 2)
    with path.open("a", newline="") as file:
        csv.writer(file).writerow(["job", "review", "", "job", "x", "a", "1", "2"])
    with pytest.raises(UsageError, match="line 4: '2' is typed"):
        lists.read(path)


@pytest.mark.parametrize(
    "changed",
    [{"kind": "other"}, {"sample": "no digest"}, {"job_id": ""}, {"job": "x" * 201}],
)
def test_a_csv_that_names_no_list_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    line = dict(zip(HEAD.split(","), ["job", "review", "", "job", "0", "a", "", "1"], strict=True))
    assert lists.read(saved_by_page(tmp_path / "list.csv", [*line.values()])).entries
    with pytest.raises(UsageError, match="not a list from"):
        lists.read(saved_by_page(tmp_path / "other.csv", [*(line | changed).values()]))
    without = [value for name, value in line.items() if name not in changed]
    head = ",".join(name for name in line if name not in changed)
    with pytest.raises(UsageError, match="not a list from"):
        lists.read(saved_by_page(tmp_path / "none.csv", without, head=head))


@pytest.mark.parametrize(
    ("name", "encoding", "between"),
    [("list.csv", "cp1252", ";"), ("list.txt", "utf-16", "\t"), ("list.csv", "utf-8-sig", ",")],
)
def test_a_list_that_a_spreadsheet_program_saved_again_is_read(
    tmp_path: Path, name: str, encoding: str, between: str
) -> None:
    line = ["M\u00fcller", "review", "", "M\u00fcller", "0", "a", "'007", "'008"]
    path = saved_by_page(tmp_path / "page.csv", line)
    table = list(csv.reader(path.open(newline="", encoding="utf-8")))
    text = "".join(between.join(each) + "\r\n" for each in table)
    (tmp_path / name).write_bytes(text.encode(encoding))
    expected = lists.read(path)
    assert expected.entries
    assert lists.read(tmp_path / name) == expected


def saved_by_page(path: Path, *lines: list[str], head: str = HEAD) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head.split(","), *lines])
    return path


def test_each_page_keeps_what_is_typed_below_an_id_of_its_own(
    cluster: FakeCluster, listed: tuple[str, Path], tmp_path: Path
) -> None:
    ids = []
    for name in ("first.html", "second.html"):
        assert review.export(cluster.connection, listed[0], tmp_path / name, cut_again) == 1
        ids += re.findall(r'data-id="(.*?)"', (tmp_path / name).read_text())
    assert len(set(ids)) == len(ids) == 2
    assert all(len(each) == 16 for each in ids)


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_the_list_of_a_deleted_job_is_refused_by_another_of_its_name(
    cluster: FakeCluster, listed: tuple[str, Path], tmp_path: Path, kind: str
) -> None:
    job, path = listed
    keyed(path, "124")
    if kind == "csv":
        path = saved_by_page(tmp_path / "list.csv", [job, "review", "", job, "0", "a", "", "124"])
    pointer = cluster.store.get(names.name_pointer(job)).data
    record = replace(read_record(cluster.store, job), job="another", name=job)
    cluster.keep(record)
    cluster.store.put(names.name_pointer(job), Name(job, {1: "another"}).encode())
    with pytest.raises(UsageError, match="this list belongs to the deleted job tally"):
        take_in(cluster, path)
    cluster.store.put(names.name_pointer(job), pointer)
    assert fields(cluster, job)["a"][1] is Status.REVIEW
    take_in(cluster, path)
    assert fields(cluster, job)["a"] == ("124", Status.OK)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_value_for_an_item_that_is_not_there_is_refused(
    cluster: FakeCluster, listed: tuple[str, Path], tmp_path: Path, sealed: bool
) -> None:
    job, _ = listed
    key = names.job_record(job)
    record = Job.decode(cluster.store.get(key).data)
    if not sealed:
        opened = replace(record, sealed=False, chunks=0, items=0, layout=())
        cluster.store.put(key, opened.encode())
    path = saved_by_page(tmp_path / "list.csv", [job, "review", "", job, "999", "a", "", "1"])
    with pytest.raises(UsageError, match="line 2, a: '1' is for item 999, which has no such field"):
        take_in(cluster, path)
    good = saved_by_page(tmp_path / "good.csv", [job, "review", "", job, "0", "a", "", "123"])
    take_in(cluster, good)
    assert [each.value for each in event_log.load(cluster.store, job)] == ["123"]


def test_lines_of_two_jobs_in_one_file_are_refused(tmp_path: Path) -> None:
    lines = [[job, "review", "", job, "0", "a", "", "1"] for job in ("march", "april")]
    with pytest.raises(UsageError, match=r"line 3: belongs to another list \(job april\)"):
        lists.read(saved_by_page(tmp_path / "list.csv", *lines))


@pytest.mark.parametrize(
    ("field", "shown", "value"),
    [
        ("3|type: code", "'007", "007"),
        ("3|type: code", "007", "007"),
        ("3|type: digits, unused: leading", "'007", "007"),
        ("3|type: number", "'7", "7"),
        ("3|type: code, optional: true, empty: zero", "'0", "0"),
        ("3|type: code, none: X", "'12", "12"),
        ("2|type: checkbox, choose: one, labels: ['yes', 'no']", "'yes;no", "yes;no"),
    ],
)
def test_a_point_confirms_the_value_as_it_was_shown(
    cluster: FakeCluster, tmp_path: Path, field: str, shown: str, value: str
) -> None:
    template = form({"a": field})
    job = finished_job(cluster, template, [row(template, 0, {"a": "1"})])
    line = [job, "review", "", job, "0", "a", shown, "'."]
    take_in(cluster, saved_by_page(tmp_path / "list.csv", line))
    assert [each.value for each in event_log.load(cluster.store, job)] == [value]


@pytest.mark.parametrize("shown", ["7", "1.23E+02", "12;3"])
def test_a_point_is_refused_where_a_spreadsheet_changed_the_value_shown(
    cluster: FakeCluster, listed: tuple[str, Path], tmp_path: Path, shown: str
) -> None:
    template = form({"a": "3|type: code"})
    job = finished_job(cluster, template, [row(template, 0, {"a": "007"})])
    line = [job, "review", "", job, "0", "a", shown, "."]
    with pytest.raises(UsageError, match=r"in this file it is .* type what is written"):
        take_in(cluster, saved_by_page(tmp_path / "list.csv", line))
