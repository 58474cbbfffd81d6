"""Pen trajectories as training data; which samples of a source are used, and as what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.crops.material import prepare
from inkmill.trainer.data import readers
from inkmill.trainer.data.hands import rewrite
from inkmill.trainer.data.samples import Dataset, check_classes
from inkmill.trainer.data.split import split

#: Strokes of made-up characters, y upwards.
SHAPES: dict[str, list[list[tuple[int, int]]]] = {
    "1": [[(0, 0), (0, 1000)]],
    "7": [[(0, 1000), (600, 1000), (200, 0)]],
    "X": [[(0, 0), (700, 1000)], [(0, 1000), (700, 0)]],
    "-": [[(0, 0), (1000, 50)]],
    "A": [[(0, 0), (400, 1000), (800, 0)], [(150, 400), (650, 400)]],
}


def write(path: Path, labels: str, *, slants: bool = False, **others: Any) -> None:
    """Characters as a file of strokes; with ``slants``, each writer has another slant."""
    strokes = [stroke for label in labels for stroke in SHAPES[label]]
    points = np.array([point for stroke in strokes for point in stroke], np.int16)
    if slants:
        lengths = [sum(len(stroke) for stroke in SHAPES[label]) for label in labels]
        _, writers = np.unique(others["writer"], return_inverse=True)
        slant = 0.03 * np.repeat(writers, lengths)
        points[:, 0] += (slant * points[:, 1]).astype(np.int16)
    arrays = {
        "points": points,
        "stroke_len": np.array([len(stroke) for stroke in strokes], np.int32),
        "n_strokes": np.array([len(SHAPES[label]) for label in labels], np.int16),
        "label": np.array(list(labels)),
        **others,
    }
    np.savez(path, **arrays)


def load(folder: Path, classes: str = "17X-", **source: Any) -> Dataset:
    config = Config.parse(
        {
            "sources": [{"kind": "strokes", "path": "own.npz", **source}],
            "classes": [*classes, "blank", "reject"],
            "negatives": {"blank": 0.1, "reject": 0.1},
        },
        "test",
    )
    return readers.load(config, folder)


def test_strokes_are_drawn_upright_and_complete(tmp_path: Path) -> None:
    write(tmp_path / "own.npz", "17X", writer=np.array([5, 5, 8]))
    dataset = load(tmp_path)
    assert [each.label for each in dataset.samples] == ["1", "7", "X"]
    assert [each.group for each in dataset.samples] == ["5", "5", "8"]
    one, seven, cross = (each.image < 128 for each in dataset.samples)
    assert one[:, : one.shape[1] // 2 - 4].sum() == 0
    upper, lower = np.split(seven, 2)
    assert upper.sum() > 1.5 * lower.sum()
    # Both strokes of the X: ink in all four corners of its box.
    rows, columns = np.nonzero(cross)
    box = cross[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert all(box[::y, ::x][:12, :12].any() for y in (1, -1) for x in (1, -1))


def test_a_dot_is_drawn(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "own.npz",
        points=np.array([[3, 3]]),
        stroke_len=np.array([1]),
        n_strokes=np.array([1]),
        label=np.array(["1"]),
    )
    (sample,) = load(tmp_path).samples
    assert (sample.image < 128).any()


def test_labels_become_classes_and_others_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "own.npz", "17XA-A")
    chosen = load(tmp_path, labels={"A": "reject", "1": ""}, others="-")
    assert [each.label for each in chosen.samples] == ["-", "-", "reject", "-", "reject"]
    only = load(tmp_path, labels={"X": "X"}, others="")
    assert [each.label for each in only.samples] == ["X"]


def test_doubtful_and_excluded_samples_are_not_used_and_said(tmp_path: Path) -> None:
    doubtful = np.array([True, False, False, False])
    write(tmp_path / "own.npz", "1717", doubtful=doubtful)
    dataset = load(tmp_path, exclude=[2])
    assert [each.where for each in dataset.samples] == ["own.npz[1]", "own.npz[3]"]
    assert [each.where for each in dataset.problems] == ["own.npz[0]"]
    assert dataset.notes == ["strokes: 2 of 3 samples are used"]


def test_no_writer_has_more_samples_than_allowed(tmp_path: Path) -> None:
    writers = np.array([1] * 30 + [2] * 3)
    write(tmp_path / "own.npz", "17X" * 11, writer=writers, site=np.array(["a"] * 30 + ["b"] * 3))
    assert {each.site for each in load(tmp_path, most=5).samples if each.group == "2"} == {"b"}
    groups = [each.group for each in load(tmp_path, most=5).samples]
    assert (groups.count("1"), groups.count("2")) == (5, 3)
    assert [each.where for each in load(tmp_path, most=5).samples] == [
        each.where for each in load(tmp_path, most=5).samples
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"points": np.zeros((4, 3))}, "points must be numbers"),
        ({"stroke_len": np.array([2, 3])}, "do not add up"),
        ({"n_strokes": np.array([0, 2])}, "is empty"),
        ({"stroke_len": np.array([2.0, 3.0])}, "whole numbers"),
        ({"writer": np.array([1])}, "writer must have one value"),
        ({"points": np.array(["x"])}, "points must be numbers"),
    ],
)
def test_an_archive_of_another_layout_is_named(
    tmp_path: Path, wrong: dict[str, Any], words: str
) -> None:
    arrays = {
        "points": np.zeros((4, 2)),
        "stroke_len": np.array([2, 2]),
        "n_strokes": np.array([1, 1]),
        "label": np.array(["1", "7"]),
    }
    np.savez(tmp_path / "own.npz", **{**arrays, **wrong})
    with pytest.raises(UsageError, match=words) as error:
        load(tmp_path)
    assert "own.npz" in str(error.value)


def test_an_archive_without_strokes_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", label=np.array(["1"]))
    with pytest.raises(UsageError, match="n_strokes, points, stroke_len"):
        load(tmp_path)


def test_marks_need_no_samples_if_they_are_drawn(tmp_path: Path) -> None:
    write(tmp_path / "own.npz", "17")
    samples = load(tmp_path).samples
    check_classes(samples, ("1", "7", "X", "-"), drawn=("X", "-"))
    with pytest.raises(UsageError, match="class X, - has no sample"):
        check_classes(samples, ("1", "7", "X", "-"))


def test_one_writer_stays_on_one_side_in_all_sources(tmp_path: Path) -> None:
    writers = np.repeat(np.arange(20), 4)
    write(tmp_path / "digits.npz", "1717" * 20, slants=True, writer=writers)
    write(tmp_path / "marks.npz", "XXXX" * 20, slants=True, writer=writers)
    config = Config.parse(
        {
            "sources": [
                {"kind": "strokes", "name": name, "path": f"{name}.npz", "test": 0.2}
                for name in ("digits", "marks")
            ],
            "classes": ["1", "7", "X", "blank", "reject"],
            "negatives": {"blank": 0.1, "reject": 0.1, "marks": 0.1},
            "split": {"by": "group", "validation": 0.2},
        },
        "test",
    )
    parts = split(readers.load(config, tmp_path).samples, config)
    groups = [{each.group for each in part} for part in parts.named().values()]
    assert all(groups)
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


def test_named_writers_of_one_source_leave_the_others_to_chance(tmp_path: Path) -> None:
    write(tmp_path / "own.npz", "17" * 20, slants=True, writer=np.repeat(np.arange(10), 4))
    swiss = np.array(["a"] * 4 + ["b"] * 4)
    write(tmp_path / "swiss.npz", "1X" * 4, slants=True, writer=swiss)
    config = Config.parse(
        {
            "sources": [
                {"kind": "strokes", "name": "own", "path": "own.npz", "test": 0.2},
                {"kind": "strokes", "name": "swiss", "path": "swiss.npz", "test": 0.0},
            ],
            "classes": ["1", "7", "X"],
            "split": {"by": "group", "validation": 0.2, "validation_groups": ["b"]},
        },
        "test",
    )
    parts = split(readers.load(config, tmp_path).samples, config)
    assert {each.group for each in parts.validation if each.source == "swiss"} == {"b"}
    assert any(each.source == "own" for each in parts.validation)


def test_a_character_is_rewritten_by_other_hands_for_training_only(tmp_path: Path) -> None:
    write(tmp_path / "own.npz", "17X-A")
    once = load(tmp_path, "17X-A")
    often = load(tmp_path, "17X-A", rewritten=3)
    assert [each.digest for each in often.samples] == [each.digest for each in once.samples]
    config = Config.parse(
        {
            "sources": [{"kind": "strokes", "path": "own.npz", "rewritten": 3}],
            "classes": [*"17X-A", "blank", "reject"],
            "negatives": {"blank": 0.1, "reject": 0.1},
        },
        "test",
    )
    made, _ = prepare(often.samples, config)
    again, _ = prepare(often.samples, config)
    assert np.bincount(made.labels).tolist() == [4] * 5
    assert len({crop.tobytes() for crop in made.crops}) == 20, "every drawing is another one"
    assert np.array_equal(made.crops, again.crops)
    plain, _ = prepare(once.samples, config)
    assert len(plain.labels) == 5
    assert np.array_equal(plain.crops, made.crops[:5])


def test_other_hands_open_and_close_loops_and_draw_ends_on() -> None:
    angles = np.linspace(0, 2 * np.pi, 60)
    zero = np.stack([400 * np.sin(angles), 500 * np.cos(angles)], axis=1)
    rng = np.random.default_rng(1)
    written = [rewrite([zero], rng)[0] for _ in range(300)]
    gaps = np.array([np.hypot(*(each[-1] - each[0])) for each in written])
    assert (gaps > 100).sum() > 50
    assert (gaps < 30).sum() > 10
    longer = [each for each in written if len(each) > len(zero)]
    assert 150 < len(longer) < 250
    # It stays a zero: where the pen was in the middle of the path moves little.
    middles = np.array([each[np.abs(each[:, 1] + 500).argmin()] for each in written])
    assert np.abs(middles - zero[30]).max() < 250


def test_dots_and_straight_strokes_are_rewritten_too() -> None:
    dot = np.array([[5.0, 5.0]])
    line = np.array([[0.0, 0.0], [0.0, 500.0], [0.0, 1000.0]])
    same = np.zeros((4, 2))
    for seed in range(20):
        made = rewrite([dot, line, same], np.random.default_rng(seed))
        assert np.array_equal(made[0], dot)
        assert np.array_equal(made[2], same)
        assert all(np.isfinite(each).all() for each in made)
        tall = np.ptp(made[1], axis=0)[1]
        assert 700 < tall < 1500
