"""Fields of forms through real servers: however the work is cut up, and what people do about it."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from openpyxl import load_workbook

from inkmill.cli.main import run
from inkmill.codes import Code, Status
from inkmill.forms.cut.recut import cut_again
from inkmill.people import lists, review
from inkmill.people.calibrate import read_truth
from inkmill.producer import connect, export, results, submit, wait
from inkmill.producer.tables.settlement import form_of
from inkmill.settings import Settings
from inkmill.template.form import Form
from tests.unit.sheets import load as load_form
from tests.unit.sheets import sheet

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TALLY = EXAMPLES / "forms/tally.yaml"
SCAN = EXAMPLES / "scans/forms/tally_07.pdf"
Accepted = dict[tuple[str, int, str], str]


def accepted(job: str, settings: Settings) -> Accepted:
    return {
        (Path(row.source).name, row.page, each.name): each.value
        for row in results(job, settings=settings)
        for each in row.fields
        if each.status is Status.OK
    }


def test_the_same_values_are_accepted_however_the_work_is_cut_up_and_people_settle_the_rest(
    running: Settings, tmp_path: Path
) -> None:
    folder = EXAMPLES / "scans/forms"
    # One chunk is read by one engine; small ones, in the other order, by both.
    job = submit(folder, form=TALLY, chunk_size=50, settings=running)
    files = sorted((path for path in folder.iterdir() if path.suffix != ".csv"), reverse=True)
    other = submit(files, form=TALLY, chunk_size=3, settings=running)
    for each in (job, other):
        wait(each, timeout=120, settings=running)
    first = accepted(job, running)
    assert len(first) > 50
    assert accepted(other, running) == first

    cluster, path = connect(running), tmp_path / "review.xlsx"
    truth = read_truth(folder / "truth.csv", form_of(review.form_job(cluster, job)))
    if not review.export(cluster, job, path, cut_again):
        return  # the model left nothing to people
    book = load_workbook(path)
    for line in book.worksheets[0].iter_rows(min_row=2):
        place = (str(line[1].value), int(line[2].value))
        line[-1].value = truth[place][str(line[4].value)] or "_"
    book.save(path)
    assert review.import_list(cluster, lists.read(path), "anna").left == 0
    for row in results(job, settings=running):
        assert row.status is Status.OK
        read = {each.name: each.value for each in row.fields if each.cells}
        assert read == {name: truth[row.source, row.page][name] for name in read}


def test_scans_of_two_forms_become_one_job_and_one_table(running: Settings, tmp_path: Path) -> None:
    scans = tmp_path / "two"
    scans.mkdir()
    for name in ("tally", "register"):
        pages = cv2.imencode(".png", sheet(load_form(name)).grey)[1]
        (scans / f"{name}_1.png").write_bytes(pages.tobytes())
    stray = Form.parse(load_form("tally").to_text().replace("tally-1", "count-7"))
    pages = cv2.imencode(".png", sheet(stray).grey)[1]
    (scans / "stray_1.png").write_bytes(pages.tobytes())
    (tmp_path / "keys.csv").write_text("file,key\nregister_1.png,R1\n")
    job = submit(scans, forms=EXAMPLES / "forms", keys=tmp_path / "keys.csv", settings=running)
    wait(job, timeout=120, settings=running)
    found = {row.source: row for row in results(job, settings=running)}
    register, stray_row, tally = (found[f"{name}_1.png"] for name in ("register", "stray", "tally"))
    assert (register.form, register.form_hash) == ("register", load_form("register").hash)
    assert (register.document_key, tally.form) == ("R1", "tally")
    assert len(tally.fields) == len(load_form("tally").all_fields)
    assert stray_row.code is Code.WRONG_FORM
    assert "'count-7'" in stray_row.message
    assert export(job, tmp_path / "all.csv", settings=running) == 3
    with (tmp_path / "all.csv").open(newline="") as file:
        assert [line["form"] for line in csv.DictReader(file)] == ["register", "", "tally"]


@pytest.fixture
def torn(tmp_path: Path) -> tuple[Path, str]:
    """A sample scan whose marks, code and box lines are cut away; and where its marks were."""
    from inkmill.forms.geometry import apply
    from inkmill.forms.intake import decode_page
    from inkmill.forms.locate.registration import locate

    form = Form.load(TALLY)
    page = decode_page(SCAN.read_bytes(), 1)
    transform = locate(page, form).transform
    marks = form.registration.marks
    assert marks is not None
    corners = apply(transform, np.array(marks.at[:4]))
    # Only a strip with the votes is left; everything else is covered by white paper.
    whole = np.array([[150, 55], [196, 55], [196, 140], [150, 140]], np.float64)
    left, top = apply(transform, whole).min(axis=0).astype(int)
    right, bottom = apply(transform, whole).max(axis=0).astype(int)
    covered = np.full_like(page.grey, 255)
    covered[top:bottom, left:right] = page.grey[top:bottom, left:right]
    path = tmp_path / "torn.png"
    cv2.imwrite(str(path), covered)
    return path, " ".join(f"{x:.0f},{y:.0f}" for x, y in corners)


def test_corners_by_hand(
    torn: tuple[Path, str],
    running: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A page that nothing can locate is read once a person says where its corners are."""
    path, corners = torn
    small = path.with_name("small.png")
    cv2.imwrite(str(small), np.full((900, 600), 255, np.uint8))
    job = submit([small, path], form=TALLY, settings=running)
    wait(job, timeout=60, settings=running)
    for row in results(job, settings=running):
        assert row.status is Status.ERROR, "nothing may be guessed of such a page"

    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    assert run(["fix", job, "1", "0", "--corners", corners]) == 2
    assert "item 0 has another size than item 1: fix it alone" in capsys.readouterr().err
    _, fixed = results(job, settings=running)
    with (SCAN.parent / "truth.csv").open(newline="") as file:
        truth = next(line for line in csv.DictReader(file) if line["source"] == SCAN.name)
    names = [f"votes_{number:02d}" for number in range(1, 6)]
    read = {field.name: field.value for field in fixed.fields}
    assert sum(read[name] == truth[name] for name in names) >= 4

    assert run(["fix", job, "7", "--corners", corners]) == 2
    assert "column item" in capsys.readouterr().err
    assert run(["fix", job, "1", "--corners", "1,2 3,4"]) == 2
    assert run(["fix", job, "1", "--corners", "0,0 9,9 9,0 0,9"]) == 2
    assert "corners" in capsys.readouterr().err
