"""Training, validation and test parts: stratified, by writer, and without doubles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inkmill.errors import UsageError
from inkmill.trainer.config import Config
from inkmill.trainer.data.samples import Sample, duplicates
from inkmill.trainer.data.split import split
from tests.unit.digit_images import cell


def config(*given: dict[str, Any], **others: Any) -> Config:
    return Config.parse({"sources": list(given), **others}, "test")


def grouped(count: int = 200, groups: int = 10) -> list[Sample]:
    """No two of them are equal: each has a grey of its own in a corner."""
    images = [cell(str(n % 10), n) for n in range(count)]
    for n, image in enumerate(images):
        image[0, 0] = n
    return [
        Sample(image, str(n % 10), "own", str(n), group=f"w{n // 10 % groups}")
        for n, image in enumerate(images)
    ]


def test_a_split_is_stratified_and_repeatable() -> None:
    samples = grouped()
    settings = config({"kind": "folder", "path": "own", "name": "own"})
    parts = split(samples, settings)
    assert len(parts.test) == 50
    assert {
        label: sum(s.label == label for s in parts.test) for label in "0123456789"
    } == dict.fromkeys("0123456789", 5)
    again = split(samples, settings)
    assert [s.where for s in again.train] == [s.where for s in parts.train]
    wheres = [s.where for part in parts.named().values() for s in part]
    assert sorted(wheres) == sorted(s.where for s in samples)


def test_a_split_by_group_keeps_writers_apart() -> None:
    settings = config({"kind": "folder", "path": "own", "name": "own"}, split={"by": "group"})
    parts = split(grouped(), settings)
    writers = [{sample.group for sample in part} for part in parts.named().values()]
    assert all(writers)
    assert not writers[0] & writers[1] | writers[0] & writers[2] | writers[1] & writers[2]


def test_a_writer_of_two_sources_stays_on_one_side() -> None:
    own = {"kind": "folder", "path": "own", "name": "own"}
    two = {"kind": "table", "path": "two", "name": "two"}
    samples = grouped()
    for count in (4, 6, 7, 10):
        more = [replace(each, source="two") for each in samples if int(each.group[1:]) < count]
        parts = split([*samples, *more], config(own, two, split={"by": "group"}))
        writers = [{sample.group for sample in part} for part in parts.named().values()]
        assert not writers[0] & writers[1] | writers[0] & writers[2] | writers[1] & writers[2]
        # What a source that is divided first gets does not change by those after it.
        alone = split(samples, config(own, split={"by": "group"}))
        assert [s for s in parts.test if s.source == "own"] == alone.test
        assert [s for s in parts.train if s.source == "own"] == alone.train


def test_a_sample_without_a_writer_cannot_be_split_by_writers() -> None:
    own = {"kind": "folder", "path": "own", "name": "own"}
    samples = grouped()
    samples[7] = replace(samples[7], group="", where="scans/7.png")
    with pytest.raises(UsageError, match=r"scans/7\.png has no group, but others of own have one"):
        split(samples, config(own, split={"by": "group"}))
    # Sources without writers are drawn image by image beside others, but not where all lack them.
    without = [replace(each, group="", source="two") for each in samples]
    two = {"kind": "table", "path": "two", "name": "two"}
    both = split([*grouped(), *without], config(own, two, split={"by": "group"}))
    assert sum(each.source == "two" for each in both.test) == 50
    with pytest.raises(UsageError, match="no sample has a group: say with group or group_column"):
        split(without, config(two, split={"by": "group"}))


def test_numbers_of_samples_and_a_draw_without_regard_to_classes() -> None:
    """As scikit-learn's train_test_split(test_size=30, random_state=7) has it."""
    from sklearn.model_selection import train_test_split

    own = {"kind": "folder", "path": "own", "name": "own"}
    rules = {"test": 30, "validation": 20, "stratify": False, "random_state": 7}
    samples = grouped()
    parts = split(samples, config(own, split=rules))
    assert [len(part) for part in parts.named().values()] == [150, 20, 30]
    expected = train_test_split(samples, test_size=30, random_state=7)[1]
    assert [each.where for each in parts.test] == [each.where for each in expected]
    other = split(samples, config(own, split=rules | {"random_state": 8})).test
    assert [each.where for each in other] != [each.where for each in parts.test]
    everything = split(samples, config(own, split={"test": 0.0, "validation": 1000}))
    assert len(everything.validation) == 200


@pytest.mark.parametrize("by", ["", "group"])
def test_a_source_may_be_for_testing_as_a_whole(by: str) -> None:
    settings = config(
        {"kind": "folder", "path": "own", "name": "own", "test": 1.0}, split={"by": by}
    )
    parts = split(grouped(), settings)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (0, 0, 200)
    most = config({"kind": "folder", "path": "own", "name": "own", "test": 0.999}, split={"by": by})
    with pytest.raises(UsageError, match="split: own cannot be divided"):
        split(grouped(), most)


def test_named_writers_go_where_they_are_named() -> None:
    rules = {"test": 0.0, "hold_out": ["w1"], "validation_groups": ["w2", "w3"]}
    settings = config({"kind": "folder", "path": "own", "name": "own"}, split=rules)
    parts = split(grouped(), settings)
    assert {sample.group for sample in parts.test} == {"w1"}
    assert {sample.group for sample in parts.validation} == {"w2", "w3"}
    usual = config({"kind": "folder", "path": "own", "name": "own"}, split={"hold_out": ["w1"]})
    # The model is trained on all others: none of them is reported beside the one held out.
    assert {sample.group for sample in split(grouped(), usual).test} == {"w1"}
    odd = config({"kind": "folder", "path": "own"}, split={"hold_out": ["w99"]})
    with pytest.raises(UsageError, match="group w99; the groups are w0"):
        split(grouped(), odd)


@pytest.mark.parametrize("rules", [{}, {"by": "group"}, {"hold_out": ["w1"], "test": 0.0}])
def test_no_image_is_in_two_parts(rules: dict[str, Any]) -> None:
    """Some images are there three times: in one source, by two writers, and in another source."""
    samples = grouped()
    same = [replace(each, group="w0" if each.group == "w9" else "w9") for each in samples[::7]]
    more = [replace(each, source="two", where=f"two {each.where}") for each in samples[::5]]
    own = {"kind": "folder", "path": "own", "name": "own"}
    settings = config(own, {**own, "name": "two"}, split={"validation": 0.2, **rules})
    parts = split([*samples, *same, *more], settings)
    assert duplicates(parts.named()) == []
    assert all(parts.named().values())
    # Nothing vanishes in silence, and what is tested is what it was before.
    total = sum(map(len, parts.named().values()))
    assert total + len(parts.copies) == len(samples) + len(same) + len(more)
    tested = {each.digest for each in (*parts.test, *parts.validation)}
    assert {left.digest for _, left in parts.copies} <= tested
    assert all(kept.digest == left.digest and kept is not left for kept, left in parts.copies)
    assert duplicates({"train": parts.train, "copies": [each for each, _ in parts.copies]}) == []
