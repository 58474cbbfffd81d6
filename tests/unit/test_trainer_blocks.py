"""Augmentation, negatives, blocks, checkpoints: what training is fed with, and kept in."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import NotFound, Unreachable, UsageError
from inkmill.forms.cut.normalise import normalise
from inkmill.models import pretrained
from inkmill.trainer.config import Config
from inkmill.trainer.crops import augment, negatives, square
from inkmill.trainer.crops.blocks import STEPS, BlockMaker
from inkmill.trainer.crops.material import Material, prepare
from inkmill.trainer.crops.stamps import BOX, SIDE, skeletons, stamp
from inkmill.trainer.data.samples import Sample
from inkmill.trainer.feed import Feed
from inkmill.trainer.measure.preview import preview
from inkmill.trainer.runs import checkpoints
from inkmill.trainer.runs.checkpoints import CheckpointSaver
from inkmill.trainer.runs.storage import FolderStore
from inkmill.trainer.settings.augmentation import Augmentation
from tests.unit.digit_images import cell

CLASSES = [*"0123456789", "blank", "reject"]
STRONG = {
    "cells": 0.6, "redraw": 0.4, "rotation": 6.0, "elastic": 0.03, "lines": 0.2, "faint": 0.2,
    "stroke": 0.5, "neighbours": 0.2, "specks": 0.2, "noise": 0.03, "low_resolution": 0.2,
    "bilevel": 0.2, "jpeg": 0.1, "pressure": 0.3, "gaps": 0.1, "blur": 0.3, "crop": 0.05,
}  # fmt: skip


def samples(count: int = 40) -> list[Sample]:
    return [
        Sample(cell(str(n % 10), n), str(n % 10), "a" if n % 4 else "b", str(n), f"w{n % 5}")
        for n in range(count)
    ]


def config(**changes: Any) -> Config:
    values: dict[str, Any] = {
        "sources": [
            {"kind": "folder", "path": "a", "name": "a", "weight": 3.0},
            {"kind": "folder", "path": "b", "name": "b", "weight": 1.0},
        ],
        "training": {"batch": 10, "seed": 5},
    }
    return Config.parse(values | changes, "test")


def full(**training: Any) -> Config:
    return config(
        classes=CLASSES,
        negatives={"blank": 0.1, "reject": 0.2},
        augmentation=STRONG,
        training={"batch": 10, "seed": 5, **training},
    )


@pytest.fixture(scope="module")
def material() -> Material:
    return prepare(samples(), full())[0]


def test_a_stamp_is_the_ink_alone() -> None:
    ink = stamp(cell("5", 1))
    assert ink is not None
    assert ink.shape == (SIDE, SIDE)
    rows, columns = np.nonzero(ink)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == BOX
    assert stamp(np.full((40, 40), 255, np.uint8)) is None


def test_a_skeleton_is_one_pixel_wide_and_in_one_piece() -> None:
    inks = [stamp(cell(label, 3)) for label in "0123456789"]
    skeleton = np.unpackbits(skeletons(np.stack([ink for ink in inks if ink is not None])), axis=-1)
    for number, (ink, bone) in enumerate(zip(inks, skeleton, strict=True)):
        assert ink is not None
        assert not (bone & (ink <= 100)).any()
        assert (
            cv2.connectedComponents(bone)[0]
            == cv2.connectedComponents((ink > 100).astype(np.uint8))[0]
        ), number
        thick = cv2.erode(bone, np.ones((2, 2), np.uint8))
        assert thick.sum() <= 4


def test_a_block_follows_from_its_number_alone(material: Material) -> None:
    one, other = BlockMaker(full(), material), BlockMaker(full(), material)
    other.make(2)
    first, again, next_one = one.make(0), other.make(0), one.make(1)
    np.testing.assert_array_equal(first.crops, again.crops)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.crops != next_one.crops).any()


def test_a_block_holds_the_shares_that_the_config_asks_for(material: Material) -> None:
    block = BlockMaker(full(), material).make(0)
    total = STEPS * 10
    assert block.crops.shape == (total, 28, 28)
    assert (block.labels == CLASSES.index("blank")).sum() == total * 0.1
    assert (block.labels == CLASSES.index("reject")).sum() == total * 0.2
    assert (block.crops.reshape(total, -1).max(axis=1) > 0).all()


def test_without_augmentation_an_epoch_is_each_sample_once() -> None:
    settings = config()
    material, _ = prepare(samples(160), settings)
    maker = BlockMaker(settings, material)
    seen = Counter(crop.tobytes() for n in range(4) for crop in maker.make(n).crops)
    # 4 blocks of 160 crops by weights 3 to 1: source b's 40 samples are drawn 160 times.
    first, end = material.starts[1:3]
    of_b = Counter(material.crops[at].tobytes() for at in range(first, end))
    of_a = {material.crops[at].tobytes() for at in range(first)}
    for crop, count in of_b.items():
        if crop not in of_a:
            assert seen[crop] == 4 * count


def test_the_feed_goes_on_anywhere_in_any_number_of_processes(material: Material) -> None:
    settings = full(echo=2)
    steps = 3 * STEPS * 2
    with Feed(settings, material, processes=0) as feed:
        whole = list(feed.batches(0, steps))
    assert len(whole) == steps
    start = 2 * STEPS + 5
    with Feed(settings, material, processes=1) as feed:
        rest = list(feed.batches(start, steps))
        assert feed.made_rate > 0
    assert len(rest) == steps - start
    for (crops, labels), (expected, wanted) in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(crops, expected)
        np.testing.assert_array_equal(labels, wanted)


@pytest.mark.parametrize(
    "name", sorted(set(Augmentation.model_fields) - {"redraw", "flip_horizontal"})
)
def test_each_augmentation_changes_crops(material: Material, name: str) -> None:
    on_cells = {
        "lines", "neighbours", "specks", "faint", "blur", "low_resolution", "bilevel", "jpeg",
        "stroke", "pressure", "gaps", "square", "ground",
    }  # fmt: skip
    amounts = {name: 1.0 if name != "rotation" else 20.0}
    if name in on_cells:
        amounts["cells"] = 1.0
    base = {"cells": 1.0} if name in on_cells else {"specks": 1e-9}
    plain = BlockMaker(config(augmentation=base, training={"batch": 10, "seed": 5}), material)
    changed = BlockMaker(config(augmentation=amounts, training={"batch": 10, "seed": 5}), material)
    before, after = plain.make(0), changed.make(0)
    np.testing.assert_array_equal(before.labels, after.labels)
    assert (before.crops != after.crops).any(axis=(1, 2)).mean() > 0.5


def test_material_that_a_killed_training_left_is_taken_away(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, strange = tmp_path / "inkmill-train-killed", tmp_path / "inkmill-train-strange"
    for folder in (left, strange):
        folder.mkdir()
        (folder / "crops.npy").write_bytes(b"x")
    (left / "lock").write_bytes(b"")
    with Feed(full(), material, processes=1):
        alive = {each.name for each in tmp_path.iterdir()}
        assert len(alive) == 2
        assert "inkmill-train-killed" not in alive
        with Feed(full(), material, processes=1):
            assert {each.name for each in tmp_path.iterdir()} > alive
        assert {each.name for each in tmp_path.iterdir()} == alive
    # What has no lock may be anybody's.
    assert [each.name for each in tmp_path.iterdir()] == ["inkmill-train-strange"]


def test_no_negative_is_a_plain_upright_stroke() -> None:
    """That would be a 1."""
    stamps = np.stack([ink for each in samples() if (ink := stamp(each.image)) is not None])
    digits = negatives.DigitStamps(
        stamps, {str(d): np.arange(len(stamps))[d::10] for d in range(10)}
    )
    rng = np.random.default_rng(3)
    for _ in range(300):
        ink = negatives.draw_reject(digits, rng)
        count, _, stats, _ = cv2.connectedComponentsWithStats((ink > 100).astype(np.uint8))
        if count == 2:
            _, _, width, height, area = stats[1]
            assert not (height > 5 * width and area > 0.75 * width * height)


@pytest.mark.tensorflow
def test_the_shipped_model_reads_square_digits() -> None:
    """People who keep to printed guides write as on a pocket calculator."""
    from inkmill.models.predictor import Predictor

    shipped = pretrained.load()
    rng = np.random.default_rng(11)
    labels = [str(digit) for digit in range(10)] * 30
    pens = (augment.redraw(square.skeleton(label, rng), rng) for label in labels)
    crops = [normalise(255 - ink, 28, ()) for ink in pens]
    found = Predictor(shipped.manifest, shipped.weights).predict(
        np.stack([crop for crop in crops if crop is not None])
    )
    assert len(found) == len(labels)
    assert (found.argmax(axis=1) == np.array(labels, int)).mean() > 0.97


def test_flips_are_off_unless_asked_for() -> None:
    ink = stamp(cell("7", 2))
    assert ink is not None
    warper = augment.Warper.make(SIDE, 1)
    rng = np.random.default_rng(1)
    same = warper.warp(ink, Augmentation(), rng)
    assert np.abs(same.astype(int) - ink).mean() < 2
    mirrored = warper.warp(ink, Augmentation(flip_horizontal=1.0), rng)
    assert np.abs(mirrored.astype(int) - ink[:, ::-1]).mean() < 2


def test_the_preview_has_a_row_for_each_step() -> None:
    settings = full().model_copy(update={"filters": ({"name": "median", "size": 3},)})
    picture = preview(samples(), settings, 6, 1)
    # as found, normalised, with median, three augmented, blank, reject
    assert picture.shape[0] == 8 * (22 + 84 + 16 + 4 + 4)
    assert picture.min() == 0


def arrays(value: float) -> dict[str, np.ndarray]:
    return {"weights/a": np.full((3, 2), value, np.float32), "good": np.array(4, np.int32)}


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryStore() if request.param == "memory" else FolderStore(tmp_path)


def after_three(store: Any) -> checkpoints.Checkpoint:
    """The latest checkpoint, once three were saved, of which two are kept."""
    saver = CheckpointSaver(store, "run", keep=2)
    for step in (10, 20, 30):
        saver.save(step, arrays(step))
        assert saver.idle(10)
    assert saver.close(10)
    found = checkpoints.latest(store, "run")
    assert found is not None
    return found


def test_checkpoints_come_back_and_old_ones_go(store: Any) -> None:
    found = after_three(store)
    assert found[0] == 30
    np.testing.assert_array_equal(found[1]["weights/a"], arrays(30)["weights/a"])
    keys = [entry.key.rsplit("/", 1)[1] for entry in store.list("runs/run/")]
    assert keys == [
        "step-00000020.json", "step-00000020.safetensors",
        "step-00000030.json", "step-00000030.safetensors",
    ]  # fmt: skip


def test_a_half_written_or_damaged_checkpoint_is_passed_over(
    store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.write(store, "run", 10, arrays(1))
    checkpoints.write(store, "run", 20, arrays(2))
    store.put(checkpoints.checkpoint_arrays("run", 20), b"damaged")
    store.put(checkpoints.checkpoint_arrays("run", 30), b"its record was never written")
    found = checkpoints.latest(store, "run")
    assert found is not None
    assert found[0] == 10
    assert "step-00000020.json: its arrays are damaged" in caplog.text


def test_a_run_that_went_on_from_an_older_checkpoint_keeps_its_own(store: Any) -> None:
    checkpoints.write(store, "run", 900, arrays(1))
    checkpoints.write(store, "run", 950, arrays(2))
    for step in (900, 950):
        store.put(checkpoints.checkpoint_arrays("run", step), b"damaged")
    assert after_three(store)[0] == 30


class Away(MemoryStore):
    """A store that answers no request for arrays."""

    def get(self, key: str) -> Any:
        if key.endswith(".safetensors"):
            raise Unreachable("read timeout")
        return super().get(key)


def test_a_store_that_is_out_is_no_damaged_checkpoint() -> None:
    store = Away()
    checkpoints.write(store, "run", 10, arrays(1))
    with pytest.raises(Unreachable, match="read timeout"):
        checkpoints.latest(store, "run")


class Broken(MemoryStore):
    """A store that is out until it is mended."""

    def __init__(self) -> None:
        super().__init__()
        self.mended = threading.Event()

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        if not self.mended.is_set():
            raise Unreachable("object store does not answer")
        return super().put(key, data, **conditions)


def test_a_store_that_is_out_costs_a_warning_and_retries(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "_FIRST_RETRY", 0.01)
    store = Broken()
    saver = CheckpointSaver(store, "run", keep=2)
    with caplog.at_level(logging.WARNING):
        saver.save(10, arrays(1))
        assert not saver.idle(0.2)
    assert "training continues" in caplog.text
    saver.save(20, arrays(2))
    store.mended.set()
    assert saver.close(10)
    found = checkpoints.latest(store, "run")
    assert found is not None
    assert found[0] == 20


def test_a_run_has_one_config_and_one_name(store: Any) -> None:
    settings = config()
    checkpoints.begin(store, "run", settings, "digest")
    assert checkpoints.read_run(store, "run") == (settings, "digest")
    with pytest.raises(UsageError, match="--resume run"):
        checkpoints.begin(store, "run", settings, "digest")
    with pytest.raises(NotFound, match="no run named other"):
        checkpoints.read_run(store, "other")


def test_balanced_classes_are_drawn_or_weighed_alike() -> None:
    """Of nine times as many sevens as ones, from two sources, batches with blanks and rejects."""
    from inkmill.trainer.crops.balance import class_shares, loss_weights

    rare = [Sample(cell("7" if n % 10 else "1", n), "7" if n % 10 else "1", "ab"[n % 2], str(n))
            for n in range(120)]  # fmt: skip
    named = {"classes": ["1", "7", "blank", "reject"], "negatives": {"blank": 0.1, "reject": 0.2}}
    plain = config(**named)
    material, _ = prepare(rare, plain)
    # Ones are among the even numbers only, which are those of a: 12 of its 60.
    expected = [0.7 * 0.75 * 0.2, 0.7 * (0.75 * 0.8 + 0.25), 0.1, 0.2]
    np.testing.assert_allclose(class_shares(plain, material), expected)
    assert loss_weights(plain, material) is None
    by_loss = config(**named, training={"balance": "loss"})
    weights = loss_weights(by_loss, material)
    assert weights is not None
    np.testing.assert_allclose(weights * class_shares(plain, material), [0.25] * 4, rtol=1e-6)
    given = config(**named, training={"class_weights": {"7": 0.5}})
    np.testing.assert_array_equal(np.asarray(loss_weights(given, material)), [1, 0.5, 1, 1])
    sampled = config(**named, training={"batch": 10, "seed": 5, "balance": "sampling"})
    maker = BlockMaker(sampled, material)
    blocks = [maker.make(number) for number in range(3)]
    counts = np.bincount(np.concatenate([block.labels for block in blocks]), minlength=4)
    # Of a, every second is a one; b has sevens alone, 28 a block.
    assert counts.tolist() == [126, 210, 48, 96]
    again = BlockMaker(sampled, material).make(2)
    np.testing.assert_array_equal(again.crops, blocks[2].crops)
    with pytest.raises(UsageError, match="class_weights: 5 is not among the classes 1, 7, blank"):
        config(**named, training={"class_weights": {"5": 2.0}})
    with pytest.raises(UsageError, match="give class_weights or balance, not both"):
        config(**named, training={"class_weights": {"7": 2.0}, "balance": "loss"})
