"""Tables as users get them: columns, values, formats, whole files."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from inkmill import names
from inkmill.backends.store import Stored
from inkmill.codes import Code, Status
from inkmill.errors import Corrupt, FormError, UsageError
from inkmill.producer import export, results, submit
from inkmill.records import rows
from inkmill.records.jobs import Job
from inkmill.records.rows import FieldResult, Row
from tests.fakes import VERSION, FakeCluster, png

FORM = """
inkmill_form: 1
name: small
page: {width: 210, height: 297, unit: mm}
registration:
  marks: {shape: square, size: 5, at: [[10, 10], [200, 10], [200, 287], [10, 287]]}
  code: {kind: qr, box: [170, 18, 24, 24], value: small-1}
fields:
  - {name: station, type: code, cells: {origin: [20, 60], size: [9, 14], pitch: [10, 0], count: 3}}
  - {name: total, type: number, cells: {origin: [20, 90], size: [9, 14], pitch: [10, 0], count: 3}}
"""

PAGES = (
    Row(
        0,
        "a/scan 1.png",
        1,
        Status.REVIEW,
        Code.LOW_CONFIDENCE,
        "total: 0.51",
        document_key="007",
        form="small",
        model=VERSION,
        precision="bfloat16",
        fields=(
            FieldResult("station", "007", "007", 0.99996, box=(10, 20, 30, 40)),
            FieldResult("total", "12", "_12", 0.51, Status.REVIEW, Code.LOW_CONFIDENCE),
        ),
    ),
    Row(1, '=cmd|"x"', 1, Status.ERROR, Code.UNREGISTERED, "no marks, none\nat all", form="small"),
)


def finished(cluster: FakeCluster, outcome: list[list[Row]], form: str = "") -> str:
    """A finished job whose chunks gave these rows."""
    for number, part in enumerate(outcome):
        cluster.store.put(names.result("job", number), rows.encode(part))
    record = Job("job", 0.0, form=form, form_name="small", sealed=True, chunks=len(outcome))
    cluster.keep(record.seal(list(map(len, outcome)), ""))
    return "job"


def written(
    cluster: FakeCluster, tmp_path: Path, name: str = "out.csv", **options: object
) -> bytes:
    export("job", tmp_path / name, connection=cluster.connection, **options)  # type: ignore[arg-type]
    return (tmp_path / name).read_bytes()


def digit(item: int, **changes: object) -> Row:
    values = {"digit": "7", "confidence": 0.9876543, "model": VERSION, "precision": "float32"}
    return Row(item, f"{item}.png", **{**values, **changes})  # type: ignore[arg-type]


def test_digit_images(cluster: FakeCluster, tmp_path: Path) -> None:
    bad = Row(1, "1.png", 1, Status.ERROR, Code.EMPTY_FILE, "no bytes")
    finished(cluster, [[digit(0), bad], [digit(2)]])
    assert written(cluster, tmp_path).decode() == (
        "item,source,status,code,message,digit,confidence,model,precision\n"
        f"0,0.png,ok,,,7,0.9877,{VERSION},float32\n"
        "1,1.png,error,EMPTY_FILE,no bytes,,,,\n"
        f"2,2.png,ok,,,7,0.9877,{VERSION},float32\n"
    )


def test_pages_wide(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [list(PAGES)], FORM)
    lines = list(csv.DictReader(io.StringIO(written(cluster, tmp_path).decode(), newline="")))
    assert list(lines[0]) == [
        *("item", "source", "page", "key", "status", "code", "message", "form", "model"),
        *("precision", "station", "station_raw", "station_confidence", "station_status"),
        *("total", "total_raw", "total_confidence", "total_status"),
    ]
    first, second = lines
    assert (first["station"], first["key"], first["station_confidence"]) == ("007", "007", "1.0000")
    assert (first["total"], first["total_raw"], first["total_status"]) == ("12", "_12", "review")
    assert second["source"] == '=cmd|"x"'
    assert second["message"] == "no marks, none\nat all"
    assert (second["total"], second["total_confidence"]) == ("", "")


def test_pages_long(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [list(PAGES)], FORM)
    text = written(cluster, tmp_path, long=True).decode()
    assert text.splitlines()[:3] == [
        "item,source,page,key,field,value,raw,confidence,status,code,box",
        "0,a/scan 1.png,1,007,station,007,007,1.0000,ok,,10 20 30 40",
        "0,a/scan 1.png,1,007,total,12,_12,0.5100,review,LOW_CONFIDENCE,",
    ]
    assert text.splitlines()[3].endswith(",1,,,,,,error,UNREGISTERED,")


def test_long_is_for_forms(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [[digit(0)]])
    with pytest.raises(UsageError, match="--long is for forms"):
        written(cluster, tmp_path, long=True)


def test_excel_safe_alone_alters_what_looks_like_a_formula(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    finished(cluster, [list(PAGES)], FORM)
    safe = list(csv.reader(io.StringIO(written(cluster, tmp_path, excel_safe=True).decode())))
    assert safe[2][1] == '\'=cmd|"x"'
    assert safe[1][10] == "007"
    with pytest.raises(UsageError, match="--excel-safe is for csv"):
        written(cluster, tmp_path, "out.jsonl", excel_safe=True)


def test_a_byte_order_mark_is_there_if_it_is_asked_for(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    finished(cluster, [list(PAGES)], FORM)
    plain = written(cluster, tmp_path)
    assert written(cluster, tmp_path, bom=True) == b"\xef\xbb\xbf" + plain
    safe = written(cluster, tmp_path, excel_safe=True)
    assert written(cluster, tmp_path, bom=True, excel_safe=True) == b"\xef\xbb\xbf" + safe
    with pytest.raises(UsageError, match="--bom is for csv"):
        written(cluster, tmp_path, "out.jsonl", bom=True)


def test_json_lines(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [list(PAGES)], FORM)
    lines = [json.loads(line) for line in written(cluster, tmp_path, "out.jsonl").splitlines()]
    assert (lines[0]["station"], lines[0]["total_confidence"]) == ("007", 0.51)
    assert (lines[1]["total"], lines[1]["total_confidence"]) == ("", None)


def test_parquet(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [[digit(number)] for number in range(5)])
    table = pq.read_table(io.BytesIO(written(cluster, tmp_path, "out.parquet")))
    assert table.column("item").to_pylist() == [0, 1, 2, 3, 4]
    assert table.column("digit").to_pylist() == ["7"] * 5
    assert str(table.schema.field("confidence").type) == "float"


def test_xlsx_keeps_text_as_text(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [list(PAGES)], FORM)
    written(cluster, tmp_path, "out.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert sheet is not None
    assert (sheet["K2"].value, sheet["K2"].data_type) == ("007", "s")
    assert (sheet["B3"].value, sheet["B3"].data_type) == ('=cmd|"x"', "s")
    assert sheet["Q2"].value == 0.51


def test_xlsx_goes_on_in_another_sheet(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inkmill.producer.tables.writers._SHEET_LINES", 2)
    finished(cluster, [[digit(number) for number in range(5)]])
    written(cluster, tmp_path, "out.xlsx")
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    assert [sheet.max_row for sheet in book.worksheets] == [3, 3, 2]


def test_without_openpyxl_the_remedy_is_named(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(cluster, [[digit(0)]])
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(UsageError, match=r"pip install 'inkmill\[xlsx\]'"):
        written(cluster, tmp_path, "out.xlsx")


def test_a_file_appears_whole_or_not_at_all(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [[digit(0)], [digit(1)]])
    (tmp_path / "out.csv").write_text("before")
    cluster.store.put(names.result("job", 1), b"damaged")
    with pytest.raises(Corrupt, match="not a result object"):
        written(cluster, tmp_path)
    assert (tmp_path / "out.csv").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    with pytest.raises(UsageError, match="cannot be written"):
        written(cluster, tmp_path, "nowhere/out.csv")


def test_a_pipe_stays_a_pipe_and_a_link_a_link(cluster: FakeCluster, tmp_path: Path) -> None:
    finished(cluster, [[digit(0)]])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    export("job", pipe, connection=cluster.connection)
    assert b"0,0.png,ok" in reader.communicate(timeout=10)[0]
    assert pipe.is_fifo()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere/out.csv")
    export("job", tmp_path / "link.csv", connection=cluster.connection)
    assert (tmp_path / "link.csv").is_symlink()
    assert b"0,0.png,ok" in (tmp_path / "elsewhere/out.csv").read_bytes()
    with pytest.raises(UsageError, match="cannot be written"):
        export("job", tmp_path / "elsewhere", connection=cluster.connection)


def test_rows_are_read_a_few_chunks_ahead_and_no_more(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(cluster, [[digit(number)] for number in range(50)])
    read: list[str] = []
    get = cluster.store.get

    def noted(key: str) -> Stored:
        read.append(key)
        return get(key)

    monkeypatch.setattr(cluster.store, "get", noted)
    stream = results("job", connection=cluster.connection)
    assert next(stream).item == 0
    assert len([key for key in read if "/results/" in key]) <= 8
    assert [row.item for row in stream] == list(range(1, 50))


# --- fields that are called as columns are -------------------------------------------------------

CLASHING = ["item", "source", "page", "key", "status", "code", "message", "form", "form_hash"]
CLASHING += ["model", "precision", "image", "form_page", "document"]
BESIDE = tuple(f"station_{part}" for part in ("raw", "confidence", "status", "source"))


def submitted_with(cluster: FakeCluster, tmp_path: Path, *forms: str) -> str:
    """Submit a page with these templates, in files."""
    (tmp_path / "scan.png").write_bytes(png(1))
    (tmp_path / "forms").mkdir()
    for number, text in enumerate(forms):
        (tmp_path / "forms" / f"{number}.yaml").write_text(text)
    if len(forms) == 1:
        one = tmp_path / "forms" / "0.yaml"
        return submit(tmp_path / "scan.png", form=one, connection=cluster.connection)
    return submit(tmp_path / "scan.png", forms=tmp_path / "forms", connection=cluster.connection)


@pytest.mark.parametrize("name", [*CLASHING, *BESIDE])
def test_a_field_that_is_called_as_a_column_is_refused_at_submit(
    cluster: FakeCluster, tmp_path: Path, name: str
) -> None:
    words = f"form small: .*{name}.*: rename (the field|one of them)"
    with pytest.raises(FormError, match=words):
        submitted_with(cluster, tmp_path, FORM.replace("name: total", f"name: {name}"))


def test_fields_of_two_forms_that_fill_the_same_column_are_refused_at_submit(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    other = FORM.replace("small", "other").replace("name: station", "name: total_raw")
    other = other.replace("name: total,", "name: sum,")
    with pytest.raises(FormError, match="fields total and total_raw would both fill"):
        submitted_with(cluster, tmp_path, other.replace("other", "zzz"), FORM)


def test_other_names_are_taken(cluster: FakeCluster, tmp_path: Path) -> None:
    text = FORM.replace("name: total", "name: confidence")
    assert submitted_with(cluster, tmp_path, text.replace("station", "x_confidence"))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "xlsx"])
@pytest.mark.parametrize("name", ["x_confidence", "confidence"])
def test_a_field_with_such_a_name_is_exported_without_loss(
    cluster: FakeCluster, tmp_path: Path, name: str, kind: str
) -> None:
    fields = (PAGES[0].fields[0], replace(PAGES[0].fields[1], name=name))
    finished(
        cluster, [[replace(PAGES[0], fields=fields)]], FORM.replace("name: total", f"name: {name}")
    )
    path = tmp_path / f"out.{kind}"
    written(cluster, tmp_path, path.name)
    (line,) = read_table(path)
    assert len(line) == 18
    assert [str(line[each]) for each in ("item", "page", "status")] == ["0", "1", "review"]
    assert (line["source"], line["key"], line["station"]) == ("a/scan 1.png", "007", "007")
    *_, value, raw, confidence, status = line.values()
    assert (value, raw, status) == ("12", "_12", "review")
    assert float(str(confidence)) == pytest.approx(0.51)


def read_table(path: Path) -> list[dict[str, object]]:
    match path.suffix:
        case ".csv":
            return list(csv.DictReader(path.open()))
        case ".jsonl":
            return [json.loads(line) for line in path.open()]
        case ".parquet":
            return pq.read_table(path).to_pylist()
    head, *lines = openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(map(str, head), line, strict=True)) for line in lines]
