"""inkmill form: each command as a user runs it."""

from __future__ import annotations

import csv
import gzip
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkmill.cli.form_sheets import write_sheets
from inkmill.cli.main import run
from inkmill.forms.synth.printing import draw_page
from inkmill.imagefile.sniff import count_pages
from inkmill.template.form import Form
from tests.unit.sheets import FORMS, pen_digits

SCANS = FORMS.parent / "scans" / "forms"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose MNIST is OpenCV's pen font."""
    digits, folder = pen_digits(), tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    count = len(digits.labels)
    images = struct.pack(">IIII", 0x803, count, 28, 28) + digits.images.tobytes()
    labels = struct.pack(">II", 0x801, count) + digits.labels.astype("u1").tobytes()
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return tmp_path / "data"


def test_check_draws_the_boxes_and_lists_what_is_doubtful(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "check.png"
    assert run(["form", "check", str(FORMS / "strip.yaml"), "-o", str(target)]) == 0
    said = capsys.readouterr().out
    assert "5 fields" in said
    assert "only the printed boxes show which way up" in said
    assert cv2.imread(str(target)).shape[0] > 800


def test_check_on_scans_says_how_far_each_is_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "check.png"
    scans = [str(SCANS / "tally_01.jpg"), str(SCANS / "tally_05.jpg")]
    arguments = ["form", "check", str(FORMS / "tally.yaml"), "-o", str(target)]
    assert run([*arguments, "--on", scans[0], "--on", scans[1]]) == 0
    said = capsys.readouterr().out
    assert said.count("located by marks, 4 marks") == 2
    assert target.exists()


def test_check_shows_all_scans_and_which_page_each_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two pages with codes, given in the wrong order; more scans than one picture holds."""
    text = (FORMS / "tally.yaml").read_text()
    code = "value: tally-1"
    assert code in text
    second = (
        "pages: [{number: 2, registration: {marks: {shape: square, size: 5, "
        "at: [[12, 12], [198, 12], [198, 285], [12, 285]]}, "
        "code: {kind: qr, box: [166, 20, 22, 22], value: tally-2}}}]\n"
        "fields:\n  - {name: more, page: 2, type: code, "
        "cells: {origin: [60, 60], size: [9, 13], pitch: [10.5, 0], count: 4}}\n"
    )
    path = tmp_path / "two.yaml"
    path.write_text(text.replace("fields:\n", second, 1))
    form = Form.load(path)
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, number in (("a", 2), ("b", 1)):
        cv2.imwrite(str(scans / f"{name}.png"), draw_page(form, number, 100))
    (scans / "@eaDir").mkdir()
    (scans / "@eaDir" / "a.png").write_bytes((scans / "a.png").read_bytes())
    target = tmp_path / "check.png"
    arguments = ["form", "check", str(path), "--on", str(scans), "-o", str(target)]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert "a.png: page 2 (by code), " in said
    assert "b.png: page 1 (by code), " in said
    assert said.count("located by") == 2
    assert run([*arguments, "--zoom", "station", "--most", "1"]) == 0
    assert "left out by --most: 1 scan" in capsys.readouterr().err
    assert run([*arguments, "--zoom", "statoin"]) == 2


@pytest.mark.tensorflow
def test_check_writes_readings_beside_the_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = SCANS / "tally_01.jpg"
    arguments = ["form", "check", str(FORMS / "tally.yaml"), "--on", str(scan), "--readings"]
    assert run([*arguments, "-o", str(tmp_path / "check.png")]) == 0
    said = capsys.readouterr().out
    with (SCANS / "truth.csv").open(newline="") as file:
        truth = next(row for row in csv.DictReader(file) if row["source"] == scan.name)
    names = ["station", *(f"votes_{number:02d}" for number in range(1, 9))]
    assert sum(f"{name} {truth[name]}," in said for name in names) >= 8


def test_many_scans_become_several_pictures(tmp_path: Path) -> None:
    picture = np.full((60, 40, 3), 255, np.uint8)
    written = write_sheets(((picture, str(n)) for n in range(25)), tmp_path / "check.png")
    assert [path.name for path in written] == ["check.png", "check.2.png"]
    heights = [cv2.imread(str(path)).shape[0] for path in written]
    assert heights[0] == 8 * heights[1]


def checked(tmp_path: Path, template: str) -> list[str]:
    """The arguments of `form check` for a changed template, on a sample scan of tally."""
    path = tmp_path / "changed.yaml"
    path.write_text(template)
    target = str(tmp_path / "check.png")
    return ["form", "check", str(path), "--on", str(SCANS / "tally_01.jpg"), "-o", target]


def test_check_names_the_fields_that_are_not_on_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FORMS / "tally.yaml").read_text()
    assert run(checked(tmp_path, text)) == 0
    said = capsys.readouterr().out
    assert "not on their printed lines" not in said
    assert "marks: seen on 1 of 1 scans\n" in said
    # One box to the right: all of its lines but the last box's are there.
    assert "origin: [60, 28]" in text
    assert run(checked(tmp_path, text.replace("origin: [60, 28]", "origin: [70.5, 28]"))) == 0
    assert "not on their printed lines: station\n" in capsys.readouterr().out


def test_check_says_that_marks_were_seen_on_no_scan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FORMS / "tally.yaml").read_text().replace("shape: square", "shape: cross")
    assert run(checked(tmp_path, text)) == 0
    said = capsys.readouterr().out
    assert "located by boxes, 0 marks" in said
    assert "marks: seen on 0 of 1 scans: compare their shape" in said


def test_check_on_the_wrong_form_ends_with_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["form", "check", str(FORMS / "register.yaml"), "-o", str(tmp_path / "c.png")]
    assert run([*arguments, "--on", str(SCANS / "tally_01.jpg")]) == 3
    assert "tally_01.jpg: " in capsys.readouterr().err


def test_a_wrong_template_is_a_short_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "form.yaml"
    path.write_text((FORMS / "tally.yaml").read_text().replace("type: code", "type: coda"))
    assert run(["form", "check", str(path)]) == 2
    error = capsys.readouterr().err
    assert "form.yaml, line 11, field station" in error
    assert "did you mean 'code'?" in error
    assert "Traceback" not in error


def test_draw_writes_a_pdf_of_true_size(tmp_path: Path) -> None:
    import pypdfium2

    target = tmp_path / "blank.pdf"
    assert run(["form", "draw", str(FORMS / "tally.yaml"), "-o", str(target)]) == 0
    assert count_pages(target) == 1
    document = pypdfium2.PdfDocument(target)
    width, height = document.get_page_size(0)
    assert abs(width / 72 * 25.4 - 210) < 0.2
    assert abs(height / 72 * 25.4 - 297) < 0.2


def test_synth_writes_scans_and_truth(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    arguments = ["form", "synth", str(FORMS / "strip.yaml"), "-n", "4", "--data", str(data)]
    assert (
        run([*arguments, "--severity", "light", "--faults", "skew,bilevel", "-o", str(folder)]) == 0
    )
    rows = list(csv.DictReader((folder / "truth.csv").open()))
    assert len(rows) == 4
    assert {row["readable"] for row in rows} == {"yes"}
    assert rows[0]["faults"] == "skew bilevel"
    assert (folder / rows[0]["source"]).exists()
    assert int(rows[0]["first"]) + int(rows[0]["second"] or 0) >= 0
    assert len(rows[0]["transform"].split()) == 9


def test_the_same_seed_draws_the_same_scans(data: Path, tmp_path: Path) -> None:
    arguments = ["form", "synth", str(FORMS / "strip.yaml"), "-n", "2", "--data", str(data)]
    for folder in ("one", "two"):
        assert run([*arguments, "--seed", "5", "-o", str(tmp_path / folder)]) == 0
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_synth_names_an_unknown_fault(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["form", "synth", str(FORMS / "strip.yaml"), "--data", str(data)]
    assert run([*arguments, "--faults", "coffee"]) == 2
    assert "'coffee' is not a fault" in capsys.readouterr().err
    assert run([*arguments, "--faults", "list"]) == 0
    assert "perspective" in capsys.readouterr().out.split()


def test_from_a_printed_blank_to_a_template(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blank, made = tmp_path / "blank.pdf", tmp_path / "draft.yaml"
    assert run(["form", "draw", str(FORMS / "strip.yaml"), "-o", str(blank)]) == 0
    assert run(["form", "detect", str(blank), "-o", str(made), "--name", "strip"]) == 0
    assert "15 boxes in 5 fields on 1 page" in capsys.readouterr().out
    sheet = made.with_suffix(".csv")
    assert made.with_suffix(".png").exists()
    rows = list(csv.DictReader(sheet.open()))
    names = iter(["first", "second", "sum", "spoilt", "total"])
    for row in rows:
        row.update(name=next(names), type="number", unused="leading", none="X")
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    target = tmp_path / "strip.yaml"
    assert run(["form", "build", str(made), str(sheet), "-o", str(target)]) == 0
    form = Form.load(target)
    assert [field.name for field in form.fields][-1] == "total"
    assert (
        run(["form", "check", str(target), "--on", str(blank), "-o", str(tmp_path / "c.png")]) == 0
    )
