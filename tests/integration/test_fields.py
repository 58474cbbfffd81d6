"""Fields of forms through real servers: the same values however the work is cut up, and people."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from openpyxl import load_workbook

from inkmill.backends.store import S3Store
from inkmill.codes import Code, Status
from inkmill.forms.cut.recut import cut_again
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.people import review
from inkmill.people.calibrate import read_truth
from inkmill.people.lists import files as lists
from inkmill.producer import connect, export, results, submit, wait
from inkmill.producer.tables.settlement import form_of
from inkmill.settings import Settings
from inkmill.template.form import Form
from tests.unit.sheets import load as load_form
from tests.unit.sheets import sheet

Start = Callable[..., object]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TALLY = EXAMPLES / "forms/tally.yaml"
Accepted = dict[tuple[str, int, str], str]


@pytest.fixture(autouse=True)
def model(store: S3Store, settings: Settings) -> str:
    """The shipped model, published; returns its version."""
    return Registry(store, settings.model).publish(load())


def accepted(job: str, settings: Settings) -> Accepted:
    return {
        (Path(row.source).name, row.page, each.name): each.value
        for row in results(job, settings=settings)
        for each in row.fields
        if each.status is Status.OK
    }


def test_the_same_values_are_accepted_however_the_work_is_cut_up_and_people_settle_the_rest(
    settings: Settings, start_workers: Start, tmp_path: Path
) -> None:
    start_workers(1, engines=2)
    folder = EXAMPLES / "scans/forms"
    # One chunk is read by one engine; small ones, in the other order, by both.
    job = submit(folder, form=TALLY, chunk_size=50, settings=settings)
    files = sorted((path for path in folder.iterdir() if path.suffix != ".csv"), reverse=True)
    other = submit(files, form=TALLY, chunk_size=3, settings=settings)
    for each in (job, other):
        wait(each, timeout=120, settings=settings)
    first = accepted(job, settings)
    assert len(first) > 50
    assert accepted(other, settings) == first

    cluster, path = connect(settings), tmp_path / "review.xlsx"
    truth = read_truth(folder / "truth.csv", form_of(review.form_job(cluster, job)))
    if not review.export(cluster, job, path, cut_again):
        return  # the model left nothing to people
    book = load_workbook(path)
    for line in book.worksheets[0].iter_rows(min_row=2):
        place = (str(line[1].value), int(line[2].value))
        line[len(lists.COLUMNS)].value = truth[place][str(line[4].value)] or "_"
    book.save(path)
    assert review.import_list(cluster, lists.read(path), "anna").left == 0
    for row in results(job, settings=settings):
        assert row.status is Status.OK
        read = {each.name: each.value for each in row.fields if each.cells}
        assert read == {name: truth[row.source, row.page][name] for name in read}


def test_scans_of_two_forms_become_one_job_and_one_table(
    settings: Settings, start_workers: Start, tmp_path: Path
) -> None:
    start_workers(1, engines=1)
    scans = tmp_path / "two"
    scans.mkdir()
    for name in ("tally", "register"):
        pages = cv2.imencode(".png", sheet(load_form(name)).grey)[1]
        (scans / f"{name}_1.png").write_bytes(pages.tobytes())
    stray = Form.parse(load_form("tally").to_text().replace("tally-1", "count-7"))
    pages = cv2.imencode(".png", sheet(stray).grey)[1]
    (scans / "stray_1.png").write_bytes(pages.tobytes())
    (tmp_path / "keys.csv").write_text("file,key\nregister_1.png,R1\n")
    job = submit(scans, forms=EXAMPLES / "forms", keys=tmp_path / "keys.csv", settings=settings)
    wait(job, timeout=120, settings=settings)
    found = {row.source: row for row in results(job, settings=settings)}
    register, stray_row, tally = (found[f"{name}_1.png"] for name in ("register", "stray", "tally"))
    assert (register.form, register.form_hash) == ("register", load_form("register").hash)
    assert (register.key, tally.form) == ("R1", "tally")
    assert len(tally.fields) == len(load_form("tally").all_fields)
    assert stray_row.code is Code.WRONG_FORM
    assert "'count-7'" in stray_row.message
    assert export(job, tmp_path / "all.csv", settings=settings) == 3
    with (tmp_path / "all.csv").open(newline="") as file:
        assert [line["form"] for line in csv.DictReader(file)] == ["register", "", "tally"]
