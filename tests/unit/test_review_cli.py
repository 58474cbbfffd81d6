"""The commands for people's work on the command line: what slips and breaks come to."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import load_workbook
from PIL import Image

from inkmill import names
from inkmill.cli.main import run
from inkmill.codes import Exit
from inkmill.errors import Unreachable
from inkmill.forms.cut.recut import cut_again
from inkmill.people import calibrate, lists
from inkmill.people.lists import About, Line
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import cell, form, row

NEWER = "cd" * 32
FORM = form({"a": "3|type: code"})


@pytest.fixture
def job(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job of two pages, one of them in review, for the command line."""
    monkeypatch.setattr("inkmill.producer.connect", lambda *_: cluster.connection)
    monkeypatch.setattr("inkmill.log.set_up_logging", lambda *_: None)
    cluster.store.put(names.model_manifest("digits", NEWER), b"{}")
    doubtful = {("a", n): cell("1", 0.6) for n in range(3)}
    return finished_job(cluster, FORM, [row(FORM, 0, {"a": "111"}, doubtful), good(1)])


def good(item: int) -> Row:
    return row(FORM, item, {"a": "123"})


def commands(job: str, folder: Path, output: str) -> Iterator[list[str]]:
    template, keyed = folder / "form.yaml", folder / "keyed.csv"
    template.write_text(FORM.to_text())
    keyed.write_text("source,a\nscan_0000.png,117\n")
    yield ["review", "export", job, "-o", output]
    yield ["audit", job, "-o", output]
    yield ["compare", job, "--model", NEWER, "-o", output]
    yield ["calibrate", "--form", str(template), "--truth", str(keyed), "-o", output]
    yield ["report", job, "-o", output]


def test_an_output_that_cannot_be_made_is_said_before_anything_is_done(
    cluster: FakeCluster, job: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(entry.key for entry in cluster.store.list(""))
    output = tmp_path / "missing" / "list.html"
    for command in commands(job, tmp_path, str(output)):
        assert run(command) == Exit.USAGE, command
        told = capsys.readouterr().err
        assert f"-o {output}: cannot be written (No such file or directory)" in told
    assert sorted(entry.key for entry in cluster.store.list("")) == before


def test_the_folder_of_crops_is_made_or_refused(
    job: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = tmp_path / "some" / "crops", tmp_path / "file"
    assert run(["crops", job, "-o", str(folder)]) == Exit.DONE
    lines = list(csv.DictReader((folder / "crops.csv").open()))
    assert [(folder / line["file"]).exists() for line in lines] == [True, True]
    file.touch()
    for output in (file, file / "crops"):
        assert run(["crops", job, "-o", str(output)]) == Exit.USAGE
        assert "defect" not in capsys.readouterr().err
    assert run(["crops", "unknown", "-o", str(tmp_path / "none")]) == Exit.USAGE
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", ["0", "-1"])
@pytest.mark.parametrize(
    "command",
    [
        *(["review", "export", "tally", "--limit"], ["crops", "tally", "--limit"]),
        *(["audit", "tally", "--sample"], ["compare", "tally", "--model", NEWER, "--sample"]),
    ],
)
def test_a_count_that_is_none_is_wrong_usage(
    job: str, tmp_path: Path, command: list[str], number: str
) -> None:
    assert run([*command, number, "-o", str(tmp_path / "list.html")]) == Exit.USAGE
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_of_a_list_can_be_done(
    job: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book, page = tmp_path / "list.xlsx", tmp_path / "list.html"
    for command in (["review", "export", job], ["audit", job]):
        assert run([*command, "-o", str(book)]) == Exit.DONE
        assert f"`inkmill review import {book} --by NAME`" in capsys.readouterr().err
        assert run([*command, "-o", str(page)]) == Exit.DONE
        assert (
            "Save, then run `inkmill review import SAVED.csv --by NAME`" in capsys.readouterr().err
        )
    assert run(["review", "export", job, "--second", "-o", str(page)]) == Exit.DONE
    assert "no fields; none of job tally are waiting for a second person" in capsys.readouterr().err


def test_a_wide_picture_hides_no_column(tmp_path: Path) -> None:
    picture = BytesIO()
    Image.new("L", (700, 72)).save(picture, "PNG")
    line = Line(0, "scan.png", 1, "", "a", "111", "111", "", "", picture.getvalue())
    lists.write(
        tmp_path / "list.xlsx", About("tally", lists.REVIEW, sample="", job_id="tally"), [line]
    )
    column = load_workbook(tmp_path / "list.xlsx").worksheets[0].column_dimensions["F"]
    assert column.width * 7 >= 700


@pytest.mark.parametrize("name", ["list.html", "list.xlsx"])
def test_a_list_that_broke_half_way_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"the list of yesterday")

    def breaking() -> Iterator[Line]:
        yield Line(0, "scan.png", 1, "", "a", "111", "111", "", "")
        raise Unreachable("S3 is away")

    with pytest.raises(Unreachable):
        lists.write(path, About("tally", lists.REVIEW, sample="", job_id="tally"), breaking())
    assert path.read_bytes() == b"the list of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_disagreements_of_several_models_are_in_one_list(
    cluster: FakeCluster, job: str, tmp_path: Path
) -> None:
    pages = [good(0), replace(good(1), model=NEWER)]
    mixed = finished_job(cluster, FORM, pages, "mixed")
    key = names.job_record(mixed)
    cluster.store.put(key, replace(Job.decode(cluster.store.get(key).data), created=2.0).encode())
    truth = {(each.source, 1): {"a": "124"} for each in pages}
    found = calibrate.calibrate(cluster.connection, FORM, truth)
    assert len(found) == 2
    path = tmp_path / "list.html"
    assert calibrate.write_disagreements(cluster.connection, found, path, cut_again) == 2
