"""Documents: their keys, pages that come twice or not at all, and jobs of several forms."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from inkmill import names
from inkmill.cli.main import run
from inkmill.codes import Code, Exit, Status
from inkmill.errors import JobMismatch, UsageError
from inkmill.producer import Sending, export, submit
from inkmill.producer.inputs.document_keys import read_keys
from inkmill.producer.tables.columns import table_of
from inkmill.producer.tables.document_report import export_documents
from inkmill.producer.watch import Watch
from inkmill.records.chunks import Chunk, Item
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from inkmill.rules.documents import Policy
from inkmill.rules.settle import Settlement, Settlements
from inkmill.template.form import Form
from inkmill.template.templates import Templates
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form, row

Scans = Callable[..., Path]
KEYED = "document_key: {from: source, pattern: 'scan_([0-9]+)'}\n"
ONE = {"a": "3|type: number, unused: leading"}
TWO = {**ONE, "b": "3|type: number, unused: leading, page: 2"}
RAW = {"a": "_12", "b": "_34"}


def settled(template: Form, pages: Sequence[Row], policy: Policy | None = None) -> dict[int, Row]:
    known = Settlement(template, policy=policy or Policy())
    return {each.item: each for each in known.settle(lambda: pages)}


def pages(template: Form, *placed: tuple[str, int]) -> list[Row]:
    """Rows of pages by key and page of the form, numbered as they come."""
    return [
        replace(row(template, item, RAW, page=page, key=key), form_page=page)
        for item, (key, page) in enumerate(placed)
    ]


# --- pages that came twice -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doubles", "codes"),
    [
        ("hold", [Code.DUPLICATE, None, Code.DUPLICATE, Code.DUPLICATE]),
        ("keep", [None, None, None, None]),
        ("first", [None, None, Code.DUPLICATE, Code.DUPLICATE]),
        ("last", [Code.DUPLICATE, None, Code.DUPLICATE, None]),
    ],
)
def test_a_key_that_comes_more_than_once(doubles: str, codes: list[Code | None]) -> None:
    template = form(ONE, more=KEYED)
    rows = pages(template, ("1", 1), ("2", 1), ("1", 1), ("1", 1))
    found = settled(template, rows, Policy(doubles))
    assert [found[n].code for n in range(4)] == codes
    statuses = {"hold": Status.REVIEW, "keep": Status.OK}
    assert found[2].status == statuses.get(doubles, Status.ERROR)
    # A page that does not count has its row, in words and without values that would be summed.
    assert bool(found[2].fields) == (doubles in statuses)
    if doubles == "first":
        assert "item 0" in found[2].message
    if doubles == "last":
        assert "item 3" in found[0].message


@pytest.mark.parametrize("doubles", ["hold", "keep", "first", "last"])
def test_what_doubles_come_to_depends_on_numbers_not_on_order(doubles: str) -> None:
    template = form(TWO, more=KEYED)
    rows = pages(template, ("1", 1), ("1", 2), ("2", 1), ("1", 2), ("2", 1), ("1", 1), ("2", 2))
    expected = settled(template, rows, Policy(doubles))
    for seed in range(6):
        mixed = random.Random(seed).sample(rows, len(rows))
        assert settled(template, mixed, Policy(doubles)) == expected


def test_kept_doubles_are_documents_of_their_own_and_lack_their_own_pages() -> None:
    template = form(TWO, more=KEYED)
    rows = pages(template, ("1", 1), ("1", 2), ("1", 1))
    found = settled(template, rows, Policy("keep"))
    assert [found[n].code for n in range(3)] == [None, None, Code.MISSING]


# --- pages that did not come ---------------------------------------------------------------------


def test_every_page_of_a_document_that_lacks_one_says_which() -> None:
    three = {**TWO, "c": "3|type: number, unused: leading, page: 3"}
    template = form(three, more=KEYED)
    raw = {**RAW, "c": "_56"}
    rows = [
        replace(row(template, n, raw, page=page, key=key), form_page=page)
        for n, (key, page) in enumerate([("1", 1), ("1", 2), ("1", 3), ("2", 1), ("3", 3)])
    ]
    found = settled(template, rows)
    assert [found[n].status for n in range(3)] == [Status.OK] * 3
    assert found[3].code is found[4].code is Code.MISSING
    assert found[3].status is Status.REVIEW
    assert "pages 2 and 3 of this document are missing" in found[3].message
    assert "pages 1 and 2" in found[4].message
    # What was read stands as it is.
    assert found[3].fields == rows[3].fields


def test_a_page_in_error_may_be_the_one_that_is_missing() -> None:
    template = form(TWO, more=KEYED)
    (first,) = pages(template, ("1", 1))
    lost = Row(7, "scan_0001.png", document_key="1", form="tally").failed(
        Code.UNREGISTERED, "no marks"
    )
    found = settled(template, [first, lost])
    assert "perhaps it is item 7" in found[0].message
    assert found[7] == lost


def test_pages_of_a_file_belong_together_without_a_key() -> None:
    template = form(TWO)
    rows = [
        replace(each, source="stack.tif", page=position, document_key="", form_page=page)
        for position, page, each in (
            (1, 1, row(template, 0, RAW, page=1)),
            (2, 2, row(template, 1, RAW, page=2)),
            (3, 1, row(template, 2, RAW, page=1)),
            (4, 1, row(template, 3, RAW, page=1)),
            (5, 2, row(template, 4, RAW, page=2)),
        )
    ]
    found = settled(template, rows)
    assert [found[n].code for n in range(5)] == [None, None, Code.MISSING, None, None]


def test_a_page_whose_key_was_not_found_is_named() -> None:
    template = form(ONE, more=KEYED)
    rows = pages(template, ("1", 1), ("", 1))
    found = settled(template, rows)
    assert [found[n].code for n in range(2)] == [None, Code.MISSING]
    assert "no key was found" in found[1].message
    assert settled(form(ONE), rows, Policy(keyed=True))[1].code is Code.MISSING


# --- the report ----------------------------------------------------------------------------------


def test_a_jobs_documents_are_listed_as_they_came(
    cluster: FakeCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    template = form(TWO, more=KEYED)
    rows = pages(template, ("1", 2), ("1", 1), ("2", 1), ("3", 1), ("3", 2), ("3", 1), ("", 1))
    rows = [replace(each, source="stack.tif", page=n + 1) for n, each in enumerate(rows)]
    rows[2] = replace(rows[2].failed(Code.FAINT, "too faint"), form=template.name)
    job = finished_job(cluster, template, rows)
    assert export_documents(cluster.connection, job, tmp_path / "out.csv") == 4
    text = (tmp_path / "out.csv").read_text()
    assert text.splitlines() == [
        "key,form,source,pages,missing,doubled,out_of_order,in_error",
        "1,tally,stack.tif,2 1,,,yes,",
        "2,tally,stack.tif,1,1 2,,,2",
        "3,tally,stack.tif,1 2 1,,1,yes,",
        ",tally,stack.tif,1,2,,,",
    ]
    monkeypatch.setattr("inkmill.producer.connect", lambda *_: cluster.connection)
    monkeypatch.setattr("inkmill.log.set_up_logging", lambda *_: None)
    assert run(["documents", job]) == Exit.DONE
    assert capfd.readouterr().out == text


def test_digit_images_have_no_documents(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(1), connection=cluster.connection)
    cluster.work()
    with pytest.raises(UsageError, match="has no form"):
        export_documents(cluster.connection, job, None)


# --- several forms in a job ----------------------------------------------------------------------


def two_forms() -> tuple[Form, Form, list[Row]]:
    """Two forms of two pages; documents of the same keys; the last lacks a page."""
    one = form(TWO, more=KEYED)
    other = Form.parse(
        form({**TWO, "extra": "2|type: code"}, more=KEYED).to_text().replace("tally", "ballot", 1)
    )
    raw = {**RAW, "extra": "07"}
    rows = [
        replace(
            row(template, item, raw, page=page, key=key),
            form=template.name,
            form_hash=template.hash,
            form_page=page,
        )
        for item, (template, key, page) in enumerate(
            [(one, "1", 1), (other, "1", 1), (one, "1", 2), (other, "1", 2), (other, "2", 1)]
        )
    ]
    rows.append(Row(5, "scan_9.png").failed(Code.WRONG_FORM, "no template fits"))
    return one, other, rows


def test_documents_of_several_forms_are_kept_apart() -> None:
    one, other, rows = two_forms()
    known = Settlements({each.hash: Settlement(each) for each in (one, other)})
    found = list(known.settle(lambda: rows))
    assert [each.item for each in found] == list(range(6))
    assert [each.code for each in found] == [*[None] * 4, Code.MISSING, Code.WRONG_FORM]


def test_one_table_holds_all_forms_and_each_can_be_taken_alone(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    one, other, rows = two_forms()
    templates = Templates((other, one))
    record = Job("job", 0.0, form=templates.to_text(), form_name=templates.name)
    table = table_of(record, long=False)
    fields = [name for name in table.columns[10:] if "_" not in name]
    assert fields == ["a", "b", "extra"]
    assert table.columns[-1] == "form_hash"
    lines = [
        dict(zip(table.columns, line, strict=True)) for each in rows for line in table.lines(each)
    ]
    assert [line["form"] for line in lines] == [*["tally", "ballot"] * 2, "ballot", ""]
    assert (lines[1]["extra"], lines[0]["extra"]) == ("07", "")
    assert lines[1]["form_hash"] == other.hash
    long = table_of(record, long=True)
    assert long.columns[-2:] == ("form", "form_hash")
    assert {len(line) for each in rows for line in long.lines(each)} == {len(long.columns)}
    alone = table_of(record, long=False, form="tally")
    assert "extra" not in alone.columns
    assert "form_hash" not in alone.columns
    with pytest.raises(UsageError, match="ballot, tally"):
        table_of(record, long=False, form="other")


# --- keys from a table ---------------------------------------------------------------------------


def stored(cluster: FakeCluster, job: str) -> list[Item]:
    return [
        item
        for entry in cluster.store.list(names.chunks(cluster.id(job)))
        for item in Chunk.decode(cluster.store.get(entry.key).data).items
    ]


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("head", ["source,key", "File;Key", "page\tsource\tkey"])
def test_items_get_their_keys_from_a_table(
    cluster: FakeCluster, scans: Scans, tmp_path: Path, head: str
) -> None:
    between = next(each for each in ",;\t" if each in head)
    lead = "\t" if head.startswith("page") else ""
    lines = [f"{lead}{between.join(pair)}" for pair in (("a/1.png", "A"), ("2.png", "B"))]
    keys = table(tmp_path / "keys.csv", "\n".join([head, *lines, ""]))
    seen: list[Sending] = []
    job = submit(
        scans(["a/1.png", "b/2.png", "b/3.png"]),
        form=form(ONE),
        keys=keys,
        connection=cluster.connection,
        progress=seen.append,
    )
    assert [(item.source, item.document_key) for item in stored(cluster, job)] == [
        ("a/1.png", "A"),
        ("b/2.png", "B"),
        ("b/3.png", ""),
    ]
    assert "1 source (b/3.png) without a key in keys.csv" in seen[-1].unkeyed


def test_keys_by_page_and_entries_for_which_nothing_came(tmp_path: Path) -> None:
    text = "source,page,key\nstack.tif,1,A\nstack.tif,2,B\nother.tif,,C\ngone.png,,D\n"
    keys = read_keys(table(tmp_path / "keys.csv", text))
    items = [Item(n, "x/stack.tif", n + 1) for n in range(3)] + [Item(3, "other.tif", 4)]
    assert [item.document_key for item in keys.given(items)] == ["A", "B", "", "C"]
    assert keys.unused == ["gone.png"]
    assert "1 entry (gone.png) of keys.csv without a source" in keys.note()


def test_other_keys_make_another_job(cluster: FakeCluster, scans: Scans, tmp_path: Path) -> None:
    def send(key: str) -> str:
        keys = table(tmp_path / "keys.csv", f"source,key\n1.png,{key}\n")
        return submit(folder, form=form(ONE), keys=keys, name="job", connection=cluster.connection)

    folder = scans(["1.png"])
    assert send("A") == send("A")
    with pytest.raises(JobMismatch):
        send("B")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.png,A\n", "must name the columns"),
        ("source,key\n", "has no entries"),
        ("source,key\n1.png,\n", "line 2: each line needs a source and a key"),
        ("source,key\n1.png,A\n1.png,B\n", "line 3: 1.png has two keys, 'A' and 'B'"),
        ("source,page,key\n1.png,x,A\n", "'x' is not a page"),
    ],
)
def test_a_table_that_is_wrong_names_line_and_remedy(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_keys(table(tmp_path / "keys.csv", text))


def test_options_about_documents_need_a_form(
    cluster: FakeCluster, scans: Scans, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="add --form or --forms"):
        submit(scans(1), doubles="first", connection=cluster.connection)
    with pytest.raises(UsageError, match="hold, keep, first, last"):
        submit(scans(1), form=form(ONE), doubles="both", connection=cluster.connection)
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms/a.yaml").write_text(form(ONE).to_text())
    with pytest.raises(UsageError, match="give only one of them"):
        submit(scans(1), form=form(ONE), forms=tmp_path / "forms", connection=cluster.connection)


def test_a_job_of_several_forms_is_pinned_and_exported(
    cluster: FakeCluster, scans: Scans, tmp_path: Path
) -> None:
    folder = tmp_path / "forms"
    folder.mkdir()
    one, other, _ = two_forms()
    for each in (one, other):
        (folder / f"{each.name}.yaml").write_text(each.to_text())
    job = submit(scans(3), forms=folder, name="job", connection=cluster.connection)
    cluster.work()
    record = Job.decode(cluster.store.get(names.job_record(cluster.id(job))).data)
    assert record.form_name == "ballot, tally"
    assert [each.hash for each in Templates.parse(record.form)] == [other.hash, one.hash]
    assert export(job, tmp_path / "out.csv", connection=cluster.connection) == 3
    assert export(job, tmp_path / "none.csv", form="-", connection=cluster.connection) == 3
    (folder / "ballot.yaml").unlink()
    with pytest.raises(JobMismatch, match="form was ballot, tally"):
        submit(tmp_path / "scans", forms=folder, name="job", connection=cluster.connection)


def test_a_watch_reads_by_several_forms(cluster: FakeCluster, scans: Scans, tmp_path: Path) -> None:
    folder = tmp_path / "forms"
    folder.mkdir()
    for each in two_forms()[:2]:
        (folder / f"{each.name}.yaml").write_text(each.to_text())
    watched = Watch(
        cluster.connection,
        str(scans(2)),
        name="inbox",
        settle=0.0,
        forms=str(folder),
        doubles="last",
    )
    job = watched.look()
    assert job is not None
    record = Job.decode(cluster.store.get(names.job_record(cluster.id(job))).data)
    assert (record.form_name, record.options.doubles) == ("ballot, tally", "last")
