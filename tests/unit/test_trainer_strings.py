"""Strings composed for training: what is written, by one hand, and what is no number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.data import idx, readers
from inkmill.trainer.data.hands import rewrite, rewritten
from inkmill.trainer.data.samples import Sample, check_classes
from inkmill.trainer.data.strokes import draw
from inkmill.trainer.strings import texts
from inkmill.trainer.strings.blocks import STEPS, StringBlockMaker
from inkmill.trainer.strings.compose import Habit, Writer
from inkmill.trainer.strings.material import (
    NOTHING,
    StringMaterial,
    check_strings,
    prepare_strings,
)

CLASSES = [*"0123456789", ".", "-", "X", "$", "reject"]


def config(**changes: Any) -> Config:
    values: dict[str, Any] = {
        "name": "strips",
        "architecture": "strips",
        "classes": CLASSES,
        "sources": [{"kind": "npz", "path": "own.npz", "name": "own"}],
        "negatives": {"blank": 0.05, "reject": 0.15, "marks": 0.05},
        "training": {"steps": 2, "batch": 4, "initialiser": "he"},
    }
    return Config.parse(values | changes, "test")


def character(text: str) -> np.ndarray:
    image = np.full((60, 50), 255, np.uint8)
    cv2.putText(image, text, (8, 48), cv2.FONT_HERSHEY_SIMPLEX, 1.7, 0, 3, cv2.LINE_AA)
    return image


def samples(digits: str = "0123456789", writers: int = 3) -> list[Sample]:
    """Digits of each of some writers, and letters."""
    made = [
        Sample(character(digit), digit, "own", f"{digit}-{writer}", f"w{writer}")
        for writer in range(writers)
        for digit in digits
    ]
    return made + [Sample(character(each), "reject", "own", each, "w0") for each in "AEK"]


@pytest.fixture(scope="module")
def maker() -> StringBlockMaker:
    return StringBlockMaker(config(), prepare_strings(samples(), config())[0])


def test_a_block_is_the_same_from_its_number_alone(maker: StringBlockMaker, tmp_path: Path) -> None:
    maker.material.save(tmp_path)
    other = StringBlockMaker(maker.config, StringMaterial.map(tmp_path))
    other.make(0)
    first, again = maker.make(1), other.make(1)
    np.testing.assert_array_equal(first.crops, again.crops)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert len(first.labels) == STEPS * 4


def test_batches_hold_strips_of_about_one_width_and_lose_none(maker: StringBlockMaker) -> None:
    block = maker.make(2)
    order = block.order(4, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(len(block.widths)))
    padded = 0
    for at in range(0, len(order), 4):
        crops, labels = block.take(order[at : at + 4])
        assert crops.shape[2] >= block.widths[order[at : at + 4]].max()
        assert (crops.sum(axis=(1, 2)) == block.crops[order[at : at + 4]].sum(axis=(1, 2))).all()
        assert labels.shape == (4, block.labels.shape[1])
        padded += crops.shape[2] * 4
    assert padded < 1.6 * block.widths.sum()


def test_a_number_is_written_by_one_hand_that_has_its_digits() -> None:
    mixed = [s for s in samples("13579", writers=1) if s.label != "reject"]
    mixed += [
        Sample(s.image, s.label, "own", s.where, "other") for s in samples("02468", writers=1)[:5]
    ]
    mixed += [Sample(character("7"), "7", "own", "few", "few")]
    maker = StringBlockMaker(config(), prepare_strings(mixed, config())[0])
    rng = np.random.default_rng(0)
    for _ in range(40):
        written = {s for s in maker.number(rng).symbols if s.isdigit()}
        assert written <= set("13579") or written <= set("02468")


def test_what_is_written_is_what_the_label_says(maker: StringBlockMaker) -> None:
    # As many separate pieces of ink as symbols, where digits are far apart.
    wide = config(strings={"close": 0.0, "amounts": 0.0, "slant": 0.0, "most": 6})
    made = StringBlockMaker(wide, maker.material)
    rng, agree = np.random.default_rng(1), 0
    for _ in range(40):
        written = made.number(rng)
        pieces = cv2.connectedComponents((written.ink > 100).astype(np.uint8))[0] - 1
        agree += pieces == len(written.symbols)
    assert agree >= 25


def test_struck_numbers_letters_and_empty_strips_are_no_numbers(maker: StringBlockMaker) -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        _, symbols = maker.strip("reject", rng)
        assert CLASSES.index("reject") in symbols
        assert maker.strip("empty", rng)[1] == []
        mark = [CLASSES[each] for each in maker.strip("mark", rng)[1]]
        assert mark in (["X"], ["-"])


def test_amounts_have_separators_where_people_put_them() -> None:
    rng = np.random.default_rng(3)
    seen = [texts.amount("0123456789", 8, rng) for _ in range(400)]
    assert all(set(each) <= set("0123456789.-$ ") for each in seen)
    assert all(1 <= sum(c.isdigit() for c in each) <= 8 for each in seen)
    assert sum(each.endswith("-") for each in seen) > 40
    assert any("." in each for each in seen)
    assert any(each.startswith("$") for each in seen)
    runs = [texts.number("0123456789", 10, rng) for _ in range(300)]
    assert {len(each) for each in runs} == set(range(1, 11))


def test_own_strips_are_a_table_of_files_and_texts(tmp_path: Path) -> None:
    strip = np.concatenate([character(each) for each in "1250"], axis=1)
    cv2.imwrite(str(tmp_path / "a.png"), strip)
    (tmp_path / "table.csv").write_text('image,label\na.png,"1.2 5,0="\na.png,\nb.png,7\n')
    known = ["0", "1", "2", "5", ".", "-", "reject"]
    own = config(sources=[{"kind": "strips", "path": "table.csv"}], classes=known)
    found = readers.load(own, tmp_path)
    assert [sample.label for sample in found.samples] == ["1.25.0-"]
    assert ["has no text" in p.reason or "cannot be read" in p.reason for p in found.problems] == [
        True,
        True,
    ]
    check_classes(found.samples, own.classes, own.drawn)
    material, _ = prepare_strings(found.samples, own)
    picture, symbols = StringBlockMaker(own, material).strip("whole", np.random.default_rng(0))
    assert [known[each] for each in symbols] == list("1.25.0-")
    assert picture.shape[0] == 40
    odd = Sample(strip, "12e", "strips", "odd.png", whole=True)
    with pytest.raises(UsageError, match=r"'e': 1 times, first in odd.png"):
        check_classes([odd], own.classes)


def test_configs_that_make_no_sense_for_strips_are_refused() -> None:
    with pytest.raises(UsageError, match="needs the class reject, no blank"):
        config(classes=[*CLASSES, "blank"])
    with pytest.raises(UsageError, match="takes no filters"):
        config(filters=[{"name": "median"}])
    few = [Sample(character("7"), "7", "own", "few", "few")]
    with pytest.raises(UsageError, match="no hand has written five different digits"):
        check_strings(prepare_strings(few, config())[0])


def test_writers_of_mnist_come_from_qmnist(tmp_path: Path) -> None:
    from tests.unit.digit_images import write_mnist

    write_mnist(tmp_path / "mnist", train=20, test=10)
    labels = idx.mnist(tmp_path / "mnist", "mnist").samples
    folder = tmp_path / "qmnist"
    folder.mkdir()
    for part in ("train", "test"):
        table = np.zeros((30, 8), ">i4")
        mine = [int(each.label) for each in labels if each.part == part]
        table[: len(mine), 0], table[:, 2] = mine, np.arange(30) // 4
        header = bytes.fromhex("00000c02") + (30).to_bytes(4, "big") + (8).to_bytes(4, "big")
        (folder / f"qmnist-{part}-labels-idx2-int").write_bytes(header + table.tobytes())
    found = idx.mnist(tmp_path / "mnist", "mnist", folder).samples
    assert [each.group for each in found[:5]] == ["nist0"] * 4 + ["nist1"]
    path = folder / "qmnist-train-labels-idx2-int"
    path.write_bytes(path.read_bytes()[:12] + bytes(len(path.read_bytes()) - 12))
    with pytest.raises(UsageError, match="its classes are not those of MNIST"):
        idx.mnist(tmp_path / "mnist", "mnist", folder)


def test_labels_are_filled_up_behind_their_symbols(maker: StringBlockMaker) -> None:
    labels = maker.make(3).labels
    ended = labels == NOTHING
    assert (np.diff(ended.astype(int), axis=1) >= 0).all()


def test_joined_zeros_are_one_piece_of_ink() -> None:
    zero = np.zeros((64, 64), np.uint8)
    cv2.ellipse(zero, (32, 32), (14, 23), 0, 0, 360, 255, 1)
    writer = Writer(config().augmentation, 33)
    pieces = {}
    for joins in (False, True):
        habit = Habit(3, 8.0, 0.1, 0.0, 0.0, 0.0, 1.0, joins=joins)
        made = [
            writer.write("000", [zero] * 3, habit, np.random.default_rng(seed))
            for seed in range(20)
        ]
        pieces[joins] = [
            cv2.connectedComponents((ink > 100).astype(np.uint8))[0] - 1 for ink in made
        ]
    assert set(pieces[False]) == {3}
    assert np.mean(pieces[True]) < 2.2
    assert set(pieces[True]) == {1, 2, 3}


def test_whole_strings_are_rewritten_at_their_height() -> None:
    settings = config(
        sources=[{"kind": "strokes", "path": "own.npz", "name": "own", "rewritten": 2}]
    )
    step = np.linspace(0, 1, 30)
    strokes = tuple(np.stack([900.0 * at + 40 * step, 500 * step], axis=1) for at in range(9))
    written = Sample(draw(strokes, True), "1" * 9, "own", "here", "w", whole=True, strokes=strokes)
    more = rewritten([written], settings)
    assert [each.label for each in more] == ["1" * 9] * 2
    for each in more:
        count = cv2.connectedComponents((each.image < 128).astype(np.uint8))[0] - 1
        assert count == 9
        assert each.image.shape[0] == written.image.shape[0]
    moved = rewrite(strokes, np.random.default_rng(2), by_height=True)
    apart = [
        one[len(one) // 2] - two[len(two) // 2] for one, two in zip(moved, strokes, strict=True)
    ]
    # By its width, no stroke would be long enough to be changed.
    assert 5 < np.abs(apart).max() < 0.5 * 500


def test_a_character_without_ink_is_told_with_its_source() -> None:
    empty = Sample(np.full((60, 50), 200, np.uint8), "7", "own", "blank.png", "w0")
    _, problems = prepare_strings([*samples(), empty], config())
    assert [(each.where, each.source) for each in problems] == [("blank.png", "own")]
