"""People: lists out and in, double entry, audits, calibration, crops, the report."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from openpyxl import load_workbook
from PIL import Image

from inkmill import names
from inkmill.codes import Code, Status
from inkmill.errors import UsageError
from inkmill.forms.cut.recut import cut_again
from inkmill.people import audit, calibrate, compare, lists, review, training_data
from inkmill.people.report import figures
from inkmill.producer import export, results
from inkmill.producer.tables.settlement import form_of
from inkmill.records.chunks import Chunk
from inkmill.records.jobs import Job
from inkmill.template.form import Form
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job, page_png
from tests.unit.form_pages import cell, form, row

NUMBER = "3|type: number, unused: leading"
SUM = "  - {sum: [a, b], equals: total}\n"


@pytest.fixture
def tally() -> Form:
    return form({"a": NUMBER, "b": NUMBER, "total": NUMBER}, SUM)


GOOD: Mapping[str, str] = {"a": "_10", "b": "_20", "total": "_30"}
#: The 7 of the first field was read as a 1, so that the sum does not come out.
MISREAD: Mapping[str, str] = {"a": "_61", "b": "_45", "total": "112"}


@pytest.fixture
def job(cluster: FakeCluster, tally: Form) -> str:
    # So sure that it may be the paper that is wrong: all three fields are in review.
    misread = {("a", 2): cell("1", 0.999, d7=0.0009)}
    pages = [row(tally, 0, GOOD), row(tally, 1, MISREAD, misread), row(tally, 2, GOOD)]
    return finished_job(cluster, tally, pages)


def held(cluster: FakeCluster, job: str, item: int) -> dict[str, tuple[str, str, str]]:
    """The fields of an item as they hold: value, status, source."""
    found = next(each for each in results(job, connection=cluster.connection) if each.item == item)
    return {each.name: (each.value, str(each.status), each.source) for each in found.fields}


def typed_in(path: Path, entries: Mapping[str, str]) -> None:
    """Fill in a spreadsheet: field name -> what is typed."""
    book = load_workbook(path)
    sheet = book.worksheets[0]
    for line in sheet.iter_rows(min_row=2):
        if line[4].value in entries:
            line[-1].value = entries[line[4].value]
    book.save(path)


def exported(cluster: FakeCluster, job: str, path: Path, **options: bool) -> Path:
    review.export(cluster.connection, job, path, cut_again, **options)
    return path


def imported(cluster: FakeCluster, path: Path, who: str = "anna") -> review.ImportResult:
    return review.import_list(cluster.connection, lists.read(path), who)


# --- lists ---------------------------------------------------------------------------------------


def test_a_list_shows_picture_reading_proposal_and_reason(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    book = load_workbook(exported(cluster, job, tmp_path / "list.xlsx"))
    sheet = book.worksheets[0]
    lines = [[each.value for each in line] for line in sheet.iter_rows(min_row=2)]
    assert [line[4] for line in lines] == ["a", "b", "total"]
    item, source, _, _, field, _, raw, value, proposed, reason, typed = lines[0]
    assert (item, source, field, raw, value) == (1, "scan_0001.png", "a", "_61", "61")
    assert proposed == "67"
    assert "61 + 45 is 106, and total is 112" in reason
    assert typed in (None, "")
    picture = Image.open(BytesIO(sheet._images[0]._data()))
    assert picture.height == 72
    assert np.asarray(picture.convert("L")).min() < 10  # the black cell of the page


def test_a_typed_value_holds_and_its_document_is_judged_again(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    before = held(cluster, job, 0)
    path = exported(cluster, job, tmp_path / "list.xlsx")
    typed_in(path, {"a": "67"})
    done = imported(cluster, path)
    assert (done.entered, done.changed, done.left) == (1, 1, 0)
    assert held(cluster, job, 1) == {
        "a": ("67", "ok", "review:anna"),
        "b": ("45", "ok", "read"),
        "total": ("112", "ok", "read"),
    }
    assert held(cluster, job, 0) == before
    found = list(results(job, connection=cluster.connection))[1]
    assert (found.status, found.code) == (Status.OK, None)
    assert found.fields[0].raw == "_61"
    again = imported(cluster, path)
    assert again.again


def test_tables_say_where_values_come_from_once_people_came_in(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    table, path = tmp_path / "table.csv", tmp_path / "list.xlsx"
    export(job, table, connection=cluster.connection)
    assert "a_source" not in table.read_text()
    typed_in(exported(cluster, job, path), {"a": "67"})
    imported(cluster, path)
    export(job, table, connection=cluster.connection)
    lines = list(csv.DictReader(table.open()))
    assert (lines[1]["a"], lines[1]["a_source"], lines[1]["b_source"]) == (
        "67",
        "review:anna",
        "read",
    )
    export(job, table, long=True, connection=cluster.connection)
    assert list(csv.DictReader(table.open()))[3]["value_source"] == "review:anna"


@pytest.mark.parametrize(
    ("typed", "value", "status"),
    [(".", "61", "ok"), ("_", "", "ok"), ("067", "67", "ok"), ("?", "", "review")],
)
def test_short_answers(
    cluster: FakeCluster, job: str, tmp_path: Path, typed: str, value: str, status: str
) -> None:
    path = exported(cluster, job, tmp_path / "list.xlsx")
    typed_in(path, {"a": typed})
    imported(cluster, path)
    assert held(cluster, job, 1)["a"][:2] == (value, status)


def test_a_list_with_a_wrong_line_changes_nothing_and_names_it(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    path = exported(cluster, job, tmp_path / "list.xlsx")
    typed_in(path, {"a": "67", "b": "4o"})
    with pytest.raises(UsageError, match="nothing was imported: line 3, b: '4o'"):
        imported(cluster, path)
    assert held(cluster, job, 1)["a"][1] == "review"
    with pytest.raises(UsageError, match="not a list from"):
        lists.read(_foreign(tmp_path))


def _foreign(folder: Path) -> Path:
    path = folder / "other.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_two_people_who_differ_send_a_field_back(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    first = exported(cluster, job, tmp_path / "first.xlsx")
    typed_in(first, {"a": "67", "b": "45", "total": "112"})
    imported(cluster, first, "anna")
    second = exported(cluster, job, tmp_path / "second.xlsx", second=True)
    shown = load_workbook(second).worksheets[0]
    assert [line[7].value for line in shown.iter_rows(min_row=2)] == ["61", "45", "112"]
    typed_in(second, {"a": "61", "b": "45", "total": "112"})
    done = imported(cluster, second, "ben")
    assert (done.left, done.differing) == (1, 1)
    third = exported(cluster, job, tmp_path / "third.xlsx")
    lines = list(load_workbook(third).worksheets[0].iter_rows(min_row=2))
    assert [line[4].value for line in lines] == ["a"]
    assert "anna '67', ben '61'" in lines[0][9].value
    typed_in(third, {"a": "67"})
    imported(cluster, third, "cleo")
    assert held(cluster, job, 1)["a"] == ("67", "ok", "review:anna+cleo")


def test_imports_hold_in_whatever_order_they_come(
    cluster: FakeCluster, tally: Form, tmp_path: Path
) -> None:
    outcomes = []
    for order in (("anna", "ben"), ("ben", "anna")):
        name = finished_job(cluster, tally, [row(tally, 0, MISREAD)], f"job-{order[0]}")
        for who in order:
            path = tmp_path / f"{name}-{who}.xlsx"
            exported(cluster, name, path) if who == order[0] else exported(
                cluster, name, path, second=True
            )
            typed_in(path, {"a": "67" if who == "anna" else "61"})
            imported(cluster, path, who)
        outcomes.append(held(cluster, name, 0)["a"])
    assert outcomes[0][1] == "review"
    assert outcomes[0] == outcomes[1]


def test_the_page_for_the_browser_carries_everything_and_its_csv_comes_back(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    page = exported(cluster, job, tmp_path / "list.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http://" not in page
    assert "https://" not in page
    saved = tmp_path / "review-tally.csv"
    about = lists.About.of(review.form_job(cluster.connection, job), lists.REVIEW)
    header = "job,kind,sample,job_id,item,field,shown,typed\n"
    saved.write_text(f'{header}"{job}","review","","{about.job_id}","1","a","61","67"\n')
    assert imported(cluster, saved).changed == 1
    assert held(cluster, job, 1)["a"] == ("67", "ok", "review:anna")


def test_pictures_are_missing_and_lists_go_on_when_pages_were_deleted(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    cluster.store.delete([names.chunk(cluster.id(job), 0), names.chunk(cluster.id(job), 1)])
    page = exported(cluster, job, tmp_path / "list.html").read_text()
    assert page.count("(page no longer stored)") == 3


# --- audits, thresholds ------------------------------------------------------------------------


def test_an_audit_is_blind_and_finds_the_error_rate(
    cluster: FakeCluster, tally: Form, tmp_path: Path
) -> None:
    job = finished_job(cluster, tally, [row(tally, n, GOOD) for n in range(8)])
    path = tmp_path / "audit.xlsx"
    assert audit.sample(cluster.connection, job, 100, path, cut_again, seed=1) == 24
    lines = list(load_workbook(path).worksheets[0].iter_rows(min_row=2, values_only=True))
    assert all(not any(line[6:10]) for line in lines)
    typed_in(path, {"a": "10", "b": "21", "total": "30"})
    found = audit.import_list(cluster.connection, lists.read(path), "anna")
    assert (found.whole.errors, found.whole.trials) == (8, 24)
    assert found.whole.low < 8 / 24 < found.whole.high
    assert (found.fields["b"].errors, found.fields["a"].errors) == (8, 0)
    assert held(cluster, job, 0)["b"] == ("21", "ok", "review:anna")


def test_a_sample_is_drawn_with_equal_chances(
    cluster: FakeCluster, tally: Form, tmp_path: Path
) -> None:
    job = finished_job(cluster, tally, [row(tally, n, GOOD) for n in range(4)])
    hits: dict[tuple[int, str], int] = {}
    for seed in range(48):
        path = tmp_path / f"audit{seed}.html"
        audit.sample(cluster.connection, job, 3, path, lambda *_: [], seed)
    for entry in cluster.store.list(f"{names.job_root(cluster.id(job))}audits/"):
        for each in json.loads(cluster.store.get(entry.key).data)["fields"]:
            place = each["item"], each["field"]
            hits[place] = hits.get(place, 0) + 1
    assert len(hits) == 12
    assert 3 <= min(hits.values()) <= max(hits.values()) <= 24  # 12 each


def test_a_target_is_unproven_until_enough_was_keyed(cluster: FakeCluster, tmp_path: Path) -> None:
    template = form({"a": f"{NUMBER}, target_error: 0.02", "b": NUMBER})
    pages = [row(template, n, {"a": f"{n:03d}", "b": "_12"}) for n in range(400)]
    job = finished_job(cluster, template, pages, chunk_size=50)
    first = next(iter(results(job, connection=cluster.connection)))
    assert (first.status, first.code) == (Status.REVIEW, Code.UNPROVEN)
    assert first.fields[1].status is Status.OK
    assert calibrate.permit(cluster.connection, template, job, True) == [("ab" * 32, "float32")]
    assert next(iter(results(job, connection=cluster.connection))).status is Status.OK
    calibrate.permit(cluster.connection, template, job, False)

    keyed = tmp_path / "keyed.csv"
    lines = [f"scan_{n:04d}.png,{n + (n == 7)}" for n in range(400)]
    keyed.write_text("source,a\n" + "\n".join(lines) + "\n")
    as_excel = tmp_path / "excel.csv"
    as_excel.write_bytes(keyed.read_text().replace(",", ";").encode("utf-16"))
    truth = calibrate.read_truth(as_excel, template)
    assert truth == calibrate.read_truth(keyed, template)
    (found,) = calibrate.calibrate(cluster.connection, template, truth, job)
    assert found.compared == 400
    assert [(r.item, keyed_as) for r, _, keyed_as in found.disagreements] == [(7, "8")]
    assert found.choices["a"].proven
    assert {r.status for r in results(job, connection=cluster.connection)} == {Status.OK}
    out = tmp_path / "differ.xlsx"
    assert calibrate.write_disagreements(cluster.connection, [found], out, cut_again) == 1


def test_a_calibration_belongs_to_its_form_and_model(cluster: FakeCluster, tmp_path: Path) -> None:
    template = form({"a": f"{NUMBER}, target_error: 0.02"})
    other = form({"a": f"{NUMBER}, target_error: 0.03"})
    pages = [row(template, n, {"a": "123"}) for n in range(3)]
    job = finished_job(cluster, template, pages)
    calibrate.permit(cluster.connection, template, job, True)
    newer = [row(template, n, {"a": "123"}, model="cd" * 32) for n in range(3)]
    second = finished_job(cluster, template, newer, "newer")
    assert {r.code for r in results(second, connection=cluster.connection)} == {Code.UNPROVEN}
    with pytest.raises(UsageError, match="was not read by this form"):
        calibrate.permit(cluster.connection, other, job, True)
    table = tmp_path / "keyed.csv"
    table.write_text("source,nothing\nx,1\n")
    with pytest.raises(UsageError, match="no column is named after a field"):
        calibrate.read_truth(table, template)


# --- pictures and page -------------------------------------------------------------------------


def test_crops_are_the_fields_that_are_asked_for(cluster: FakeCluster, job: str) -> None:
    wanted = review.Wanted(fields=frozenset({"a"}), items=frozenset({0, 2}))
    lines = list(review.cut_out(cluster.connection, job, wanted, cut_again))
    assert [(line.item, line.field) for line in lines] == [(0, "a"), (2, "a")]
    assert all(line.picture.startswith(b"\x89PNG") for line in lines)
    with pytest.raises(UsageError, match="has no field nothing"):
        review.cut_out(cluster.connection, job, review.Wanted(frozenset({"nothing"})), cut_again)


def test_the_report_counts_and_shows(cluster: FakeCluster, job: str, tmp_path: Path) -> None:
    truth = {("scan_0000.png", 1): {"a": "10"}, ("scan_0001.png", 0): {"a": "67"}}
    found = figures.gather(cluster.connection, job, cut_again, truth)
    assert (found.statuses["ok"], found.statuses["review"]) == (2, 1)
    assert found.field_codes == {"RULE_FAILED": 3}
    assert (found.fields["a"].compared, found.fields["a"].wrong) == (2, 1)
    # Of the two that were compared, one is accepted; fields nobody keyed are none of it.
    assert (found.error_rate.errors, found.error_rate.trials) == (0, 1)
    path = tmp_path / "report.html"
    figures.write(found, path)
    page = path.read_text()
    assert "RULE_FAILED" in page
    assert "data:image/png" in page
    assert "http://" not in page
    assert "https://" not in page


def test_verified_values_become_a_training_source(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    path = exported(cluster, job, tmp_path / "list.xlsx")
    typed_in(path, {"a": "67", "b": "?"})
    imported(cluster, path)
    made = training_data.write_verified(cluster.connection, job, tmp_path / "own")
    assert (made.pages, made.fields, made.left_out) == (1, 1, 0)
    (line,) = csv.DictReader((tmp_path / "own/verified.csv").open())
    assert (line["image"], line["a"], line["b"]) == ("00000001.png", "_67", "___")
    assert (tmp_path / "own/scans/00000001.png").read_bytes() == page_png(1)
    assert (
        Form.load(tmp_path / "own/form.yaml").hash
        == form_of(review.form_job(cluster.connection, job)).hash
    )


# --- another model ------------------------------------------------------------------------------


def test_another_model_reads_the_same_pages_as_a_revision(cluster: FakeCluster, job: str) -> None:
    newer = "cd" * 32
    cluster.store.put(names.model_manifest("digits", newer), b"{}")
    with pytest.raises(UsageError, match="no version that begins"):
        compare.read_again(cluster.connection, job, "ee" * 32)
    revision = compare.read_again(cluster.connection, job, newer[:12])
    assert revision == "tally-r2"
    record = Job.decode(cluster.store.get(names.job_record(cluster.id(revision))).data)
    assert (record.version, record.items, record.sealed) == (newer, 3, True)
    chunk = Chunk.decode(cluster.store.get(names.chunk(cluster.id(revision), 0)).data)
    assert [item.source for item in chunk.items] == [f"scan_{n:04d}.png" for n in range(3)]
    assert chunk.items[1].data == page_png(1)


def test_what_another_model_would_change_is_counted_and_listed(
    cluster: FakeCluster, tally: Form, tmp_path: Path
) -> None:
    old = finished_job(cluster, tally, [row(tally, 0, GOOD), row(tally, 1, MISREAD)], "old")
    other = {"a": "_11", "b": "_20", "total": "_31"}
    pages = [row(tally, 0, other, model="cd" * 32), row(tally, 1, GOOD, model="cd" * 32)]
    new = finished_job(cluster, tally, pages, "new")
    _pin(cluster, old, "ab" * 32)
    _pin(cluster, new, "cd" * 32)
    with pytest.raises(UsageError, match="inkmill compare JOB --model cdcdcdcdcdcd"):
        compare.require(cluster.connection, tally, "ab" * 32, "cd" * 32)
    found = compare.compare(cluster.connection, old, new)
    assert (found.pages, found.accepted, found.doubted, found.gained) == (2, 3, 0, 3)
    assert [(o.name, o.value, n.value) for _, o, n in found.changed] == [
        ("a", "10", "11"),
        ("total", "30", "31"),
    ]
    told = compare.require(cluster.connection, tally, "ab" * 32, "cd" * 32)
    assert (told.changed, told.accepted) == (2, 3)
    assert compare.write_changed(cluster.connection, found, tmp_path / "x.xlsx", cut_again) == 2


def _pin(cluster: FakeCluster, job: str, version: str) -> None:
    key = names.job_record(cluster.id(job))
    record = Job.decode(cluster.store.get(key).data)
    cluster.store.put(key, replace(record, version=version).encode())
