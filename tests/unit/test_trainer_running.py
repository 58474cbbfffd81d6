"""Running hands: zeros in one stroke, and digits in the shapes that fast writers give them."""

from __future__ import annotations

import cv2
import numpy as np

from inkmill.models.strips import SEPARATOR
from inkmill.trainer.config import Config
from inkmill.trainer.crops.stamps import BOX, SIDE
from inkmill.trainer.strings import texts
from inkmill.trainer.strings.blocks import StringBlockMaker
from inkmill.trainer.strings.material import StringMaterial
from inkmill.trainer.strings.running import SHAPED, RunningHand

_HANDS = 60


def hands() -> list[tuple[RunningHand, np.random.Generator]]:
    return [(RunningHand(rng), rng) for rng in map(np.random.default_rng, range(_HANDS))]


def pieces(ink: np.ndarray) -> int:
    """Connected parts of what a pen of three pixels draws."""
    return int(cv2.connectedComponents(thick(ink))[0]) - 1


def holes(ink: np.ndarray) -> int:
    """Closed loops of what a pen of three pixels draws."""
    paper = 1 - cv2.copyMakeBorder(thick(ink), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    return int(cv2.connectedComponents(np.asarray(paper, np.uint8), connectivity=4)[0]) - 2


def thick(ink: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.dilate(ink, np.ones((3, 3))) > 0, np.uint8)


def test_a_run_of_zeros_is_one_stroke_with_a_loop_for_each() -> None:
    for count in (2, 3, 4):
        runs = [hand.zeros(count, rng) for hand, rng in hands()]
        assert {pieces(run) for run in runs} == {1}
        # Many people leave them open at the top; none draws a loop too many on the whole.
        assert 0.5 * count < np.mean([holes(run) for run in runs]) < 1.6 * count
        assert all(run.shape[0] == SIDE and run.any() for run in runs)
    widths = [np.mean([hand.zeros(n, rng).shape[1] for hand, rng in hands()]) for n in (2, 3, 4)]
    assert np.diff(widths).min() > BOX / 4


def test_a_hand_keeps_its_shapes_and_leaves_other_digits_to_itself() -> None:
    shaped = dict.fromkeys(SHAPED, 0)
    for hand, rng in hands():
        for label in "0123456789":
            first, second = hand.digit(label, rng), hand.digit(label, rng)
            assert (first is None) == (second is None)
            if first is None or second is None:
                continue
            shaped[label] += 1
            assert first.shape == (SIDE, SIDE)
            assert first.any()
            near = cv2.dilate(first, np.ones((15, 15)))
            assert ((second > 0) & (near == 0)).sum() < 0.35 * (second > 0).sum()
    assert set(shaped) == set(SHAPED)
    assert all(_HANDS * 0.2 < count < _HANDS * 0.7 for count in shaped.values())


def maker(running: float) -> StringBlockMaker:
    """A maker whose only hand writes each digit as a level line of its own height."""
    config = Config.load_values(
        {
            "architecture": "strips",
            "classes": [*"0123456789", SEPARATOR, "reject"],
            "sources": [{"kind": "mnist", "path": "mnist", "licence": "none"}],
            "strings": {"running": running, "amounts": 0.0, "close": 0.0},
        },
        {},
        "test",
    )
    stamps = np.zeros((10, SIDE, SIDE), np.uint8)
    stamps[:, 20:44, 30:34] = 255
    return StringBlockMaker(
        config,
        StringMaterial(
            stamps=stamps,
            skeletons=np.packbits(stamps > 0, axis=-1),
            labels=np.arange(10, dtype=np.int32),
            hands=np.array([0, 10]),
            hand_weights=np.array([1.0]),
            strips=np.zeros(0, np.uint8),
            widths=np.zeros(0, np.int64),
            texts=np.zeros((0, 32), np.int32),
            strip_weights=np.zeros(0),
        ),
    )


def test_strings_of_running_hands_say_what_is_written() -> None:
    written = [
        maker(share)._write(list("24000"), [2, 4, 0, 0, 0], np.random.default_rng(seed))
        for share in (0.0, 1.0)
        for seed in range(20)
    ]
    assert all(each.symbols == list("24000") for each in written)
    apart = [pieces(each.ink) for each in written[:20]]
    together = [pieces(each.ink) for each in written[20:]]
    assert np.mean(apart) > 3.5
    assert np.mean(together) <= 2.7


def test_people_pay_round_sums() -> None:
    rng = np.random.default_rng(5)
    amounts = [texts.amount("0123456789", 8, rng) for _ in range(2000)]
    ends = ["".join(filter(str.isdigit, each)).endswith("00") for each in amounts]
    assert 0.2 < np.mean(ends) < 0.5
    assert max(sum(map(str.isdigit, each)) for each in amounts) <= 8
