"""Verified values of a job as a training source, read back by the trainer."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inkmill.backends import event_log
from inkmill.cli.training_config import FLAGS, request_of
from inkmill.errors import UsageError
from inkmill.forms.cut.recut import strips_again
from inkmill.forms.cut.strip import normalise_strip
from inkmill.people import training_data
from inkmill.records.events import Event
from inkmill.records.rows import FieldResult, Row, StringReading
from inkmill.rules.judge import judge
from inkmill.rules.meaning import read_strip
from inkmill.rules.statuses import rolled_up
from inkmill.template.form import Form
from inkmill.trainer.config import Config
from inkmill.trainer.data import readers
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form, row
from tests.unit.sheets import BILL, load, scanned


def typed(cluster: FakeCluster, job: str, *values: tuple[int, str, str]) -> None:
    said = [Event(item, field, value, "", "anna", 1.0) for item, field, value in values]
    assert event_log.add(cluster.store, job, said)


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / training_data.TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def asked(job: str, **others: Any) -> dict[str, Any]:
    """The options of `inkmill train --from shipped --data job:JOB`."""
    options = dict.fromkeys((*FLAGS, "hold_out", "name"))
    known = {"data": (f"job:{job}",), "parent": "shipped", "settings": (), "deterministic": False}
    return {**options, **known, **others}


def test_a_models_training_continues_with_the_values_of_a_job(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`inkmill train --from shipped --data job:JOB`, up to the first step."""
    from inkmill.trainer.preparation import prepare

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INKMILL_DATA", raising=False)
    monkeypatch.setattr("inkmill.cli.servers.connection", lambda: cluster.connection)
    template = load("tally")
    scans, sheets = zip(*(scanned(template, seed=seed) for seed in range(4)), strict=True)
    first, *others = [Image.fromarray(scan.grey) for scan in scans]
    file = BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others)
    pages = [
        replace(row(template, n, sheet.raw), source="batch.tif", page=n + 1)
        for n, sheet in enumerate(sheets)
    ]
    job = finished_job(cluster, template, pages, file=file.getvalue())
    options = dict.fromkeys((*FLAGS, "hold_out", "name"))
    options |= {
        "data": (f"job:{job}",),
        "parent": "shipped",
        "settings": (),
        "deterministic": False,
    }
    with pytest.raises(UsageError, match=f"job {job} has no verified value in cells: review some"):
        request_of(None, options, "mine")
    typed(cluster, job, *[(n, "valid", sheet.values["valid"]) for n, sheet in enumerate(sheets)])
    request = request_of(None, options, "mine")
    assert request.parent is not None
    assert request.config.parent == request.parent.files.manifest.version
    assert request.config.split.by == "group"
    assert [source.name for source in request.config.sources] == [f"job {job}"]
    prepared = prepare(request.config)
    prepared.check(request.config)
    written = "".join(sheet.values["valid"] for sheet in sheets)
    assert sorted(each.label for each in prepared.dataset.samples) == sorted(written)
    pages_of = [{each.group for each in part} for part in prepared.parts.named().values()]
    assert sum(map(len, pages_of)) == len(set().union(*pages_of)) == 4
    absent = sorted(set("0123456789") - {each.label for each in prepared.parts.train})
    said = "\n".join(prepared.describe(request.config))
    assert f"no training sample of {', '.join(absent)}" in said or not absent


def test_pages_inside_a_file_of_many_documents_are_written_and_read(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    template = load("tally")
    scans, sheets = zip(*(scanned(template, seed=seed) for seed in (1, 2, 3)), strict=True)
    first, *others = [Image.fromarray(scan.grey) for scan in scans]
    file = BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others)
    pages = [
        replace(row(template, n, sheet.raw), source="batch.tif", page=n + 1)
        for n, sheet in enumerate(sheets)
    ]
    job = finished_job(cluster, template, pages, file=file.getvalue())
    typed(cluster, job, *[(n, "valid", sheets[n].values["valid"]) for n in (1, 2)])
    made = training_data.write_verified(cluster.connection, job, tmp_path / "own")
    assert (made.pages, made.fields, made.left_out) == (2, 2, 0)
    assert len(list((tmp_path / "own/scans").iterdir())) == 1  # the file, once
    config = """
        [[sources]]
        kind = "form"
        path = "own/verified.csv"
        form = "form.yaml"
        images = "scans"
        group_column = "document"
        [split]
        by = "group"
    """
    (tmp_path / "own.toml").write_text(config)
    found = readers.load(Config.load(tmp_path / "own.toml"), tmp_path)
    assert not found.problems
    written = [sheets[n].values["valid"] for n in (1, 2)]
    assert [each.label for each in found.samples] == list("".join(written))
    assert {each.group for each in found.samples} == {
        each["document"] for each in lines(tmp_path / "own")
    }
    assert len({each["document"] for each in lines(tmp_path / "own")}) == 2


def test_amounts_become_strips_with_their_text(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = Form.load(BILL)
    scan, sheet = scanned(template, seed=4)
    read = [
        read_strip(each, [StringReading(sheet.raw[each.name], 0.5)]) for each in template.strips(1)
    ]
    page = Row(
        0,
        "bill.png",
        form=template.name,
        form_hash=template.hash,
        form_page=1,
        transform=tuple(scan.transform.ravel().tolist()),
    )
    file = BytesIO()
    Image.fromarray(scan.grey).save(file, "PNG")
    pages = [rolled_up(page, judge(template, read))]
    job = finished_job(cluster, template, pages, file=file.getvalue())
    typed(cluster, job, *((0, name, sheet.values[name]) for name in ("total", "pieces_02")))
    made = training_data.write_verified(cluster.connection, job, tmp_path, strips_again)
    assert (made.fields, made.strips, lines(tmp_path)) == (2, 2, [])
    table = tmp_path / training_data.STRIPS_TABLE
    with table.open(newline="") as opened:
        written = list(csv.DictReader(opened))
    assert [each["text"] for each in written] == [sheet.raw["total"], sheet.raw["pieces_02"]]
    for each in written:
        picture = np.asarray(Image.open(tmp_path / training_data.STRIPS / each["image"]))
        assert normalise_strip(picture) is not None
    # A reader of strips continues on them.
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INKMILL_DATA", raising=False)
    monkeypatch.setattr("inkmill.cli.servers.connection", lambda: cluster.connection)
    config = request_of(None, asked(job, name="strips"), "mine").config
    assert [(each.kind, each.name) for each in config.sources] == [("strips", f"job {job}")]
    assert [each.label for each in readers.load(config).samples] == [
        each["text"] for each in written
    ]


@pytest.mark.parametrize(
    ("value", "strings", "text"),
    [
        ("1250.50", {"1.250,50": 0.5, "1250.50": 0.2}, "1.250,50"),
        ("1250.50", {"1.260,50-": 0.5}, "1.250,50-"),
        ("1250.50", {"1.260,5": 0.5}, ""),
        ("1250.50", {}, "1250.50"),
        ("0.00", {"_": 1.0}, ""),
        ("", {"12.00": 0.5}, ""),
    ],
)
def test_the_text_of_a_verified_amount_is_what_was_written(
    value: str, strings: dict[str, float], text: str
) -> None:
    field = next(each for each in Form.load(BILL).all_fields if each.name == "amount_01")
    readings = tuple(StringReading(each, p) for each, p in strings.items())
    found = FieldResult("amount_01", value, "", 1.0, strings=readings)
    assert training_data.text_of(field, found) == text


@pytest.mark.parametrize(
    ("unused", "raw", "value", "cells"),
    [
        ("leading", "_12", "13", "_13"),
        ("trailing", "12_", "13", "13_"),
        ("either", "12_", "13", "13_"),
        ("either", "_12", "13", "_13"),
        ("either", "12_", "7", "___"),  # nobody knows in which cell
        ("'no'", "012", "13", "_13"),
    ],
)
def test_a_value_stands_in_the_cells_it_was_written_in(
    cluster: FakeCluster, tmp_path: Path, unused: str, raw: str, value: str, cells: str
) -> None:
    template = form({"a": f"3|type: number, unused: {unused}"})
    job = finished_job(cluster, template, [row(template, 0, {"a": raw})])
    typed(cluster, job, (0, "a", value))
    training_data.write_verified(cluster.connection, job, tmp_path)
    assert [each["a"] for each in lines(tmp_path)] == [cells]


@pytest.mark.parametrize(
    ("field", "raw", "value", "cells"),
    [
        # A 0 that may stand for a mark, or for nothing: no picture of it is a picture of a 0.
        ("number, unused: leading, none: X", "XXX", "0", "___"),
        ("number, unused: leading, none: X", "__X", "0", "___"),
        ("number, unused: leading, none: X", "884", "0", "___"),  # a mark misread
        ("number, unused: leading, none: [X, '-']", "_-_", "0", "___"),
        ("number, unused: leading, empty: zero", "___", "0", "___"),
        ("number, unused: leading, empty: zero", "__1", "0", "___"),  # a speck misread
        ("code, unused: leading, empty: zero", "___", "0", "___"),
        # It is a written 0 where the reading says so as well, or where nothing else means 0.
        ("number, unused: leading, none: X", "__0", "0", "__0"),
        ("number, unused: leading, none: X", "000", "0", "__0"),
        ("number, unused: leading", "__6", "0", "__0"),
        # Cells read as a mark are no samples, and none is where nobody knows which cells they are.
        ("number, unused: leading, none: X", "XX5", "5", "__5"),
        ("number, unused: leading, none: X", "7XX", "7", "___"),
        ("number, unused: leading, none: X", "X12", "512", "_12"),
        ("number, unused: leading", "12_", "12", "___"),  # written from the wrong side
        ("number, unused: trailing", "_12", "12", "___"),
        ("number", "12_", "12", "___"),
        ("number, unused: leading", "1_2", "12", "___"),
        ("code", "12_", "123", "123"),  # one digit for each cell
        ("number, unused: leading", "___", "12", "_12"),
    ],
)
def test_a_cell_is_a_sample_of_a_digit_only_where_that_is_known(
    cluster: FakeCluster, tmp_path: Path, field: str, raw: str, value: str, cells: str
) -> None:
    template = form({"a": f"3|type: {field}"})
    job = finished_job(cluster, template, [row(template, 0, {"a": raw})])
    typed(cluster, job, (0, "a", value))
    training_data.write_verified(cluster.connection, job, tmp_path)
    assert [each["a"] for each in lines(tmp_path)] == [cells]
