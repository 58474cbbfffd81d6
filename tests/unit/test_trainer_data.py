"""Sources of training data, and their errors."""

from __future__ import annotations

import csv
import gzip
import os
import sqlite3
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.data import readers
from inkmill.trainer.data.idx import read_idx
from inkmill.trainer.data.samples import Dataset, Sample, check_classes
from inkmill.trainer.data.strips import segment
from tests.unit.digit_images import cell, write_folder, write_idx, write_mnist


def config(*given: dict[str, Any], **others: Any) -> Config:
    return Config.parse({"sources": list(given), **others}, "test")


def load(folder: Path, **source: Any) -> Dataset:
    return readers.load(config(source), folder)


def labels(dataset: Dataset) -> list[str]:
    return [sample.label for sample in dataset.samples]


def test_mnist_comes_in_its_own_parts(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    dataset = load(tmp_path, kind="mnist", path="mnist")
    assert [sample.part for sample in dataset.samples] == ["train"] * 60 + ["test"] * 20
    assert labels(dataset)[:3] == ["0", "1", "2"]
    assert dataset.samples[0].image.shape == (28, 28)
    assert dataset.notes == ["mnist: files in MNIST's format with other contents than MNIST's"]


def test_mnist_itself_is_known_by_its_hashes() -> None:
    folder = os.environ.get("INKMILL_DATA")
    if not folder:
        pytest.skip("INKMILL_DATA names no folder with mnist/")
    dataset = load(Path(folder), kind="mnist", path="mnist")
    assert dataset.notes == ["mnist: MNIST as its authors published it; the hashes agree"]
    assert len(dataset.samples) == 70_000


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(gzip.compress(b"\0\0\x0b\x03" + bytes(12))), "magic number"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "damaged gzip"),
        (lambda path: path.unlink(), "neither t10k-images"),
        (
            lambda path: path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-5])),
            "its header says",
        ),
        (
            lambda path: write_idx(path, np.zeros((3, 28, 28), np.uint8)),
            "t10k has 3 images, but 20 labels",
        ),
    ],
)
def test_damaged_idx_files_are_named(tmp_path: Path, damage: Any, words: str) -> None:
    write_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    damage(path)
    with pytest.raises(UsageError, match=words):
        load(tmp_path, kind="mnist", path="mnist")


def test_an_idx_file_need_not_be_packed(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(b"\0\0\x08\x01\0\0\0\x02\x05\x07")
    np.testing.assert_array_equal(read_idx(path, 1), [5, 7])


def test_npz_with_true_sizes_and_writers(tmp_path: Path) -> None:
    images = np.full((2, 50, 50), 255, np.uint8)
    images[0, :48, :48] = cell("3", 1)
    np.savez(
        tmp_path / "own.npz",
        images=images,
        labels=np.array([3, 4]),
        hw=np.array([[48, 48], [50, 50]]),
        writer=np.array(["ann", "bob"]),
    )
    dataset = load(tmp_path, kind="npz", path="own.npz")
    assert dataset.samples[0].image.shape == (48, 48)
    assert [(sample.label, sample.group) for sample in dataset.samples] == [
        ("3", "ann"),
        ("4", "bob"),
    ]


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    write_folder(tmp_path / "own")
    (tmp_path / "own" / "3" / "broken.png").write_bytes(b"no image")
    dataset = load(tmp_path, kind="folder", path="own", group=r"_(?P<group>\d+)")
    assert labels(dataset) == sorted(labels(dataset))
    assert len(dataset.samples) == 60
    assert dataset.samples[0].group == "0000"
    assert [problem.where for problem in dataset.problems] == ["3/broken.png"]
    assert "NOT_AN_IMAGE" in dataset.problems[0].reason


def test_an_empty_class_and_a_missing_folder_are_errors(tmp_path: Path) -> None:
    write_folder(tmp_path / "own")
    (tmp_path / "own" / "A").mkdir()
    with pytest.raises(UsageError, match="class A has no image"):
        load(tmp_path, kind="folder", path="own")
    with pytest.raises(UsageError, match="nowhere: folder not found"):
        load(tmp_path, kind="folder", path="nowhere")


def test_labels_in_file_names(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", each=2)
    cv2.imwrite(str(tmp_path / "own" / "odd.png"), cell("1", 1))
    dataset = load(tmp_path, kind="names", path="own")
    assert len(dataset.samples) == 20
    assert [problem.where for problem in dataset.problems] == ["odd.png"]
    other = load(tmp_path, kind="names", path="own", pattern=r"^(?P<label>[0-4])_")
    assert set(labels(other)) == set("01234")
    with pytest.raises(UsageError, match="no group named label"):
        load(tmp_path, kind="names", path="own", pattern=r"^(\d)_")


def write_rows(tmp_path: Path, suffix: str) -> str:
    tmp_path.mkdir(exist_ok=True)
    write_folder(tmp_path / "own", each=1)
    rows = [(f"own/{digit}/{digit}_0000.png", str(digit), "ann") for digit in range(10)]
    rows += [("own/missing.png", "3", "bob"), ("own/0/0_0000.png", "", "bob")]
    if suffix == "csv":
        with (tmp_path / "labels.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("image", "label", "writer"), *rows])
        return "labels.csv"
    with sqlite3.connect(tmp_path / "labels.db") as connection:
        connection.execute("CREATE TABLE labels (image TEXT, label TEXT, writer TEXT)")
        connection.executemany("INSERT INTO labels VALUES (?, ?, ?)", rows)
    return "labels.db"


@pytest.mark.parametrize("suffix", ["csv", "db"])
def test_tables_of_names_and_labels(tmp_path: Path, suffix: str) -> None:
    path = write_rows(tmp_path, suffix)
    dataset = load(tmp_path, kind="table", path=path, group_column="writer")
    assert labels(dataset) == list("0123456789")
    assert {sample.group for sample in dataset.samples} == {"ann"}
    reasons = [problem.reason for problem in dataset.problems]
    assert len(reasons) == 2
    assert "cannot be read" in reasons[0]
    assert reasons[1] == "has no label"


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path, "csv")
    with pytest.raises(UsageError, match="no column digit; it has image, label, writer"):
        load(tmp_path, kind="table", path=path, label_column="digit")


def test_a_training_names_some_of_many_and_the_check_names_all(tmp_path: Path) -> None:
    from inkmill.trainer.preparation import prepare

    images = np.stack([cell(str(n % 10), n) for n in range(80)])
    writers = np.array([f"w{n % 40}" for n in range(80)])
    np.savez(tmp_path / "own.npz", images=images, labels=np.arange(80) % 10, writer=writers)
    for number in range(25):
        (tmp_path / "own/0").mkdir(parents=True, exist_ok=True)
        (tmp_path / "own/0" / f"{number}.png").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "own/0/good.png"), cell("0", 1))
    settings = config(
        {"kind": "npz", "path": "own.npz"}, {"kind": "folder", "path": "own", "test": 0.0},
        split={"validation": 0.0},
    )  # fmt: skip
    prepared = prepare(settings, tmp_path)
    lines = list(prepared.describe(settings))
    assert "by group: 40 groups of 2 to 2 samples" in lines
    named = [line for line in lines if line.startswith("not used: ")]
    assert len(named) == 11
    assert (
        named[-1] == "not used: and 15 more: EMPTY_FILE: the file is empty: copy or scan it again"
    )
    assert "".join(prepared.describe(settings, every=True)).count("not used: ") == 25


def test_a_training_without_digits_is_refused(tmp_path: Path) -> None:
    """Every digit is an image that is tested with, too; what is left are rejects."""
    from inkmill.trainer.preparation import prepare

    write_folder(tmp_path / "own", each=4)
    write_folder(tmp_path / "again", each=4)
    for number in range(8):
        (tmp_path / "odd/reject").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f"odd/reject/{number}.png"), cell("A", number))
    sources = [
        {"kind": "folder", "path": "own", "name": "own", "test": 0.0},
        {"kind": "folder", "path": "again", "name": "again", "test": 1.0},
        {"kind": "folder", "path": "odd", "name": "odd", "test": 0.0},
    ]
    classes = [*"0123456789", "blank", "reject"]
    rest = {
        "classes": classes,
        "split": {"validation": 0.0},
        "negatives": {"blank": 0.1, "reject": 0.1},
    }
    settings = config(*sources, **rest)
    with pytest.raises(UsageError, match="no digit is left for training: 40 are images that are"):
        prepare(settings, tmp_path)
    alone = config(sources[1], sources[2], **rest)
    with pytest.raises(UsageError, match="no digit is left for training: add sources with digits"):
        prepare(alone, tmp_path)


def test_a_group_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    write_folder(tmp_path / "own", each=1)
    with pytest.raises(
        UsageError, match=r"0/0_0000\.png: the source's group, .* is not found in it"
    ):
        load(tmp_path, kind="folder", path="own", group="writer(?P<group>[0-9]+)")
    path = write_rows(tmp_path / "table", "csv")
    rows = (tmp_path / "table" / path).read_text().replace(",ann", ",", 1)
    (tmp_path / "table" / path).write_text(rows)
    with pytest.raises(UsageError, match="its column writer is empty: fill it in"):
        load(tmp_path / "table", kind="table", path=path, group_column="writer")


def test_labels_are_mapped_to_classes_whatever_their_length(tmp_path: Path) -> None:
    for word, digit in (("seven", "7"), ("four", "4")):
        (tmp_path / "own" / word).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "own" / word / "1.gif.bmp"), cell(digit, 1))
    mapped = load(tmp_path, kind="folder", path="own", labels={"seven": "7", "four": "4"})
    assert labels(mapped) == ["4", "7"]


def test_strips_are_cut_where_the_count_agrees(tmp_path: Path) -> None:
    strip = np.hstack([cell(label, 3) for label in "0419"])
    assert len(segment(strip)) == 4
    cv2.imwrite(str(tmp_path / "a.png"), strip)
    cv2.imwrite(str(tmp_path / "b.png"), strip)
    (tmp_path / "strips.csv").write_text("image,label\na.png,0419\nb.png,04\n")
    dataset = load(tmp_path, kind="strips", path="strips.csv")
    assert labels(dataset) == list("0419")
    assert "4 parts were found, but the text '04' has 2" in dataset.problems[0].reason


def test_a_path_that_is_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "labels.csv").write_text("image,label\n")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "one.npy", np.zeros(3))
    for kind, path, words in (
        ("folder", "labels.csv", r"labels\.csv: not a folder"),
        ("table", "own", "own: not a file"),
        ("npz", "empty.npz", r"empty\.npz: cannot be read as \.npz"),
        ("npz", "one.npy", r"one\.npy: cannot be read as \.npz"),
    ):
        with pytest.raises(UsageError, match=words):
            load(tmp_path, kind=kind, path=path)


def test_a_source_without_any_usable_image_says_why(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,label\ngone.png,3\n")
    with pytest.raises(
        UsageError, match=r"(?s)no image that can be used.*gone\.png.*cannot be read"
    ):
        load(tmp_path, kind="table", path="labels.csv")


def test_labels_outside_the_classes_and_empty_classes_are_named() -> None:
    sample = Sample(cell("3", 1), "x", "own", "labels.csv row 7: a.png")
    other = Sample(cell("3", 1), "seven", "own", "b.png")
    with pytest.raises(UsageError) as told:
        check_classes([sample, sample, other], tuple("0123456789"))
    lines = str(told.value).splitlines()
    assert lines[1:3] == [
        "  'x': 2 times, first in labels.csv row 7: a.png",
        "  'seven': 1 times, first in b.png",
    ]
    assert 'labels = { "seven" = "0" }' in lines[3]
    with pytest.raises(UsageError, match="class 4 has no sample"):
        check_classes([Sample(cell("3", 1), "3", "own", "a.png")], ("3", "4"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"training": {"setps": 5}}, "training.setps: no such key: did you mean 'steps'"),
        ({"training": {"steps": 0}}, r"training.steps: Input should be greater than 0 \(it is 0\)"),
        (
            {"architecture": "resnet"},
            "architecture: use one of lenet, lenet-deep, lenet-cascade, lenet5, strips",
        ),
        ({"filters": [{"name": "sharpen"}]}, "filter 1 is 'sharpen'"),
        ({"classes": ["0", "blank"]}, "blank and reject go together"),
        ({"classes": ["zero", "1"]}, "classes: zero: use single characters, blank and reject"),
        ({"classes": ["0", "0", "1"]}, "classes: give two or more, each once"),
        ({"sources": []}, "give at least one"),
        ({"sources": [{"kind": "mnist", "path": p} for p in "ab"]}, "two have the same name"),
        ({"sources": [{"kind": "tar", "path": "x"}]}, "sources.0.kind"),
    ],
)
def test_a_wrong_config_names_the_key(values: dict[str, Any], words: str) -> None:
    base = {"sources": [{"kind": "mnist", "path": "mnist"}]}
    with pytest.raises(UsageError, match=words):
        Config.parse(base | values, "own.toml")


def test_a_config_file_that_is_missing_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.toml: cannot be read"):
        Config.load(tmp_path / "gone.toml")
    (tmp_path / "odd.toml").write_text("steps = = 3")
    with pytest.raises(UsageError, match=r"odd\.toml: not a TOML file"):
        Config.load(tmp_path / "odd.toml")


@pytest.mark.parametrize("name", ["tutorial", "forms"])
def test_the_configs_that_we_ship_are_valid(name: str) -> None:
    folder = Path(__file__).parents[2] / "configs"
    settings = Config.load(folder / f"{name}.toml", {"training.steps": 7})
    assert settings.training.steps == 7


def test_cells_of_scanned_forms_become_samples(tmp_path: Path) -> None:
    """Through the workers' own registration and cutting, with a truth CSV."""
    from inkmill.forms.synth.filling import fill_page
    from inkmill.forms.synth.handwriting import HandwrittenDigits
    from inkmill.template.form import Form

    template = Path(__file__).parents[2] / "examples" / "forms" / "tally.yaml"
    form = Form.load(template)
    (tmp_path / "tally.yaml").write_text(template.read_text())
    drawn = np.stack([255 - cell(str(n % 10), n) for n in range(40)])
    digits = HandwrittenDigits(np.where(drawn < 30, 0, drawn).astype(np.uint8), np.arange(40) % 10)
    fields = [each.name for each in form.page_fields(1) if each.read]
    lines = [["image", *fields]]
    written = []
    for number in range(2):
        sheet = fill_page(form, digits, np.random.default_rng(number), dpi=150)
        cv2.imwrite(str(tmp_path / f"scan_{number}.png"), sheet.grey)
        lines.append([f"scan_{number}.png", *(sheet.raw[name] for name in fields)])
        written += [symbol for name in fields for symbol in sheet.raw[name] if symbol != "_"]
    lines.append(["gone.png", *lines[1][1:]])
    lines.append(["scan_0.png", "0", *lines[1][2:]])
    with (tmp_path / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    dataset = load(tmp_path, kind="form", path="truth.csv", form="tally.yaml")
    first_two = [sample for sample in dataset.samples if "row 4" not in sample.where]
    found = [sample.label for sample in first_two if "row 5" not in sample.where]
    assert found == written
    assert {sample.group for sample in dataset.samples} == {"scan_0", "scan_1"}
    assert {sample.image.shape for sample in dataset.samples} == {(28, 28)}
    reasons = " | ".join(problem.reason for problem in dataset.problems)
    assert "cannot be read" in reasons
    assert "cells, its truth is '0'" in reasons
    with pytest.raises(UsageError, match="needs form = the template's path"):
        load(tmp_path, kind="form", path="truth.csv")
    # As workers cut them for a network of another size; filters they run before that.
    table = {"kind": "form", "path": "truth.csv", "form": "tally.yaml"}
    larger = readers.load(config(table, architecture="lenet5"), tmp_path)
    assert {sample.image.shape for sample in larger.samples} == {(32, 32)}
    with pytest.raises(UsageError, match="source form: cells of forms cannot be filtered"):
        readers.load(config(table, filters=[{"name": "equalise"}]), tmp_path)
    mixed = [[*lines[0], "page", "vootes"], [*lines[1], "first", "1"], [*lines[1], "2", "1"]]
    mixed += [["scan_0.png"], [*lines[2], "1", "1"]]
    with (tmp_path / "mixed.csv").open("w", newline="") as file:
        csv.writer(file).writerows(mixed)
    dataset = load(tmp_path, **table | {"path": "mixed.csv"})
    found_wrong = [f"{each.where}: {each.reason}" for each in dataset.problems]
    assert found_wrong[0] == "mixed.csv: the column vootes is not a field of tally.yaml"
    assert "row 2: scan_0.png: its page is 'first': write a number from 1" in found_wrong[1]
    assert "row 3: scan_0.png: tally.yaml has 1 pages, but no page 2: say in form" in found_wrong[2]
    assert "row 4: scan_0.png: " in found_wrong[3]
    assert {sample.group for sample in dataset.samples} == {"scan_1"}
