"""Figures, the gate, the card: NumPy only."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkmill.errors import UsageError
from inkmill.models import pretrained
from inkmill.models.manifest import Manifest
from inkmill.trainer.markdown import to_html
from inkmill.trainer.measure.contact_sheets import as_text, sheet
from inkmill.trainer.measure.metrics import (
    at_temperature,
    auc,
    confusion,
    demanding_temperature,
    fit_calibration,
    fit_temperature,
    log_loss,
    reliability,
    share_by,
    wilson,
    with_floor,
)
from inkmill.trainer.publish.card import card, write_card
from inkmill.trainer.publish.gate import gate
from tests.unit.test_webpage import checked


def test_wilson_agrees_with_the_textbook() -> None:
    low, high = wilson(81, 263)
    assert low == pytest.approx(0.2553, abs=2e-4)
    assert high == pytest.approx(0.3662, abs=2e-4)
    assert wilson(10, 10)[1] == 1.0
    assert wilson(10, 10)[0] < 0.75
    assert wilson(0, 0) == (0.0, 1.0)


def drawn(temperature: float, count: int = 20_000) -> tuple[Any, Any]:
    """Logits whose truth is drawn at a temperature: that temperature calibrates them."""
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 4, (count, 10))
    probabilities = at_temperature(logits, temperature)
    labels = (probabilities.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return logits, labels.clip(max=9).astype(np.int32)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(temperature: float) -> None:
    logits, labels = drawn(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.06)


def test_the_hardest_writer_says_how_sure_readings_may_be() -> None:
    easy, hard = drawn(0.6, 3000), drawn(1.2, 1000)
    logits, labels = (np.concatenate([a, b]) for a, b in zip(easy, hard, strict=True))
    writers = ["ann"] * 3000 + ["bob"] * 900 + [""] * 100
    found = demanding_temperature(logits, labels, writers)
    assert found == pytest.approx(1.2, rel=0.1)
    assert fit_temperature(logits, labels) < 0.95
    # Too few samples of a writer, or none of a writer, say nothing.
    assert demanding_temperature(logits, labels, writers, least=1000) == pytest.approx(0.6, rel=0.1)
    assert demanding_temperature(logits, labels, [""] * 4000) == 0.0


def test_the_fewer_samples_the_less_a_writer_demands() -> None:
    found = {}
    for count in (100, 1000, 10_000):
        logits, labels = drawn(1.2, count)
        fitted = fit_temperature(logits, labels)
        found[count] = demanding_temperature(logits, labels, ["bob"] * count) / fitted
        lower = at_temperature(logits, found[count] * fitted)
        more = log_loss(lower, labels) - log_loss(at_temperature(logits, fitted), labels)
        assert count * more == pytest.approx(0.5, abs=0.02), "half a nat of likelihood"
    assert found[100] < found[1000] < found[10_000]
    assert 0.97 < found[10_000] < 1
    assert found[100] < 0.93


def test_the_floor_that_made_the_data_is_found() -> None:
    logits, labels = drawn(1.5, 60_000)
    rng = np.random.default_rng(8)
    spoilt = rng.random(len(labels)) < 0.01
    labels[spoilt] = rng.integers(0, 10, int(spoilt.sum()))
    temperature, floor = fit_calibration(logits, labels)
    assert temperature == pytest.approx(1.5, rel=0.06)
    assert 0.007 <= floor <= 0.015
    # The surest readings are then as often right as they say.
    read = with_floor(at_temperature(logits, temperature), floor)
    sure = read.max(axis=1) > 0.98
    wrong = (read.argmax(axis=1) != labels)[sure]
    assert wrong.mean() == pytest.approx((1 - read.max(axis=1))[sure].mean(), rel=0.3)


def test_calibrated_confidence_is_a_probability() -> None:
    logits, labels = drawn(2.0)
    raw = reliability(at_temperature(logits, 1.0), labels)
    calibrated = reliability(at_temperature(logits, 2.0), labels)
    assert raw.error > 0.1
    assert calibrated.error < 0.02
    assert calibrated.count.sum() == len(labels)


def test_shares_and_confusion() -> None:
    shares = share_by(["a", "b", "a", ""], np.array([True, False, False, True]))
    assert (shares["a"].right, shares["a"].total, shares["b"].accuracy) == (1, 2, 0.0)
    table = confusion(np.array([0, 0, 1], np.int32), np.array([0, 1, 1], np.int32), 2)
    np.testing.assert_array_equal(table, [[1, 1], [0, 1]])


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 1.0
    assert auc(np.array([0.5]), np.array([0.5])) == 0.5
    assert math.isnan(auc(np.array([]), np.array([0.5])))


def measured(**accuracies: float) -> Manifest:
    sets = [{"name": name, "sha256": "a" * 64, "accuracy": v} for name, v in accuracies.items()]
    return replace(pretrained.load().manifest, metrics={"sets": sets})


def test_the_gate_compares_the_sets_that_both_were_measured_on() -> None:
    current = measured(mnist=0.995, forms=0.98)
    gate(measured(mnist=0.994, forms=0.99), 0.002)(current)
    with pytest.raises(UsageError, match=r"99\.00% of mnist correctly, the current one 99\.50%"):
        gate(measured(mnist=0.990, forms=0.99), 0.002)(current)
    with pytest.raises(UsageError, match="measured on forms, mnist, the new one on other"):
        gate(measured(other=1.0), 0.002)(current)
    gate(measured(other=1.0), 0.002)(replace(current, metrics={}))
    # Measured on nothing, or on sets that the current model cannot read, it does not pass either.
    for new, sets in ((measured(), "nothing"), (measured(other=1.0), "other")):
        with pytest.raises(UsageError, match=f"the new one on {sets}, .* use --force"):
            gate(new, 0.002, lambda _: [])(current)
    with pytest.raises(UsageError, match=r"90\.00% of other correctly, the current one 100"):
        gate(measured(other=0.9), 0.002, lambda _: measured(other=1.0).metrics["sets"])(current)


def test_the_card_tells_what_the_manifest_holds(tmp_path: Any) -> None:
    manifest = replace(
        pretrained.load().manifest,
        metrics={
            "sets": [
                {
                    "name": "mnist",
                    "sha256": "ab" * 32,
                    "samples": 10000,
                    "accuracy": 0.9965,
                    "interval": [0.9951, 0.9975],
                    "by_class": {"0": 0.999},
                    "by_group": {},
                }
            ],
            "notes": ["99.3 % on <unseen> writers"],
        },
        data=({"name": "mnist", "samples": 55200, "groups": 0, "licence": "", "sha256": "c" * 64},),
    )
    text = card(manifest)
    assert manifest.version in text
    assert "| mnist | 10000 | 99.65% | 99.51% to 99.75% | abababababababab |" in text
    assert "| mnist | 55200 | unknown | not stated | cccccccccccccccc |" in text
    write_card(manifest, tmp_path)
    page = (tmp_path / "model-card.html").read_text()
    assert "<td>99.65%</td>" in page
    assert "&lt;unseen&gt;" in page
    assert "http:" not in page
    assert "https:" not in page


def test_the_shipped_card_is_that_of_the_shipped_model(tmp_path: Path) -> None:
    write_card(pretrained.load().manifest, tmp_path)
    for name in ("model-card.md", "model-card.html"):
        shipped = Path(pretrained.__file__).parent / name
        assert shipped.read_text() == (tmp_path / name).read_text()


#: Taken for markup by HTML or Markdown, and more than one line.
HOSTILE = """<script>alert(1)</script> [x](javascript:alert(2)) *_`|` ![y](z.png)\n# "'&amp;"""


def test_hostile_values_of_a_manifest_stay_text(tmp_path: Path) -> None:
    shown = " ".join(HOSTILE.splitlines())
    manifest = replace(
        pretrained.load().manifest,
        config={"name": HOSTILE},
        metrics={"notes": [HOSTILE]},
        data=({"name": HOSTILE, "samples": 1, "licence": HOSTILE, "sha256": HOSTILE},),
        libraries={HOSTILE: HOSTILE},
    )
    write_card(manifest, tmp_path)
    page = checked((tmp_path / "model-card.html").read_text())
    assert [page.count(tag) for tag in ("script", "img", "a", "em")] == [0, 0, 0, 0]
    assert [page.count(tag) for tag in ("h1", "table", "td")] == [1, 2, 5]
    whole = "".join(page.texts)
    # Heading, note, library with its version, source and licence; the title as it is.
    assert whole.count(shown) == 6
    assert f"Model card: {HOSTILE}" in whole


def test_a_document_as_a_page_holds_its_pictures() -> None:
    text = "# A `b`\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n\n![worst mistakes](m.png)\n"
    page = checked(to_html(text, title="Report", pictures={"m.png": b"\x00\xff"}))
    (image,) = (attributes for tag, attributes in page.elements if tag == "img")
    assert image == {"src": "data:image/png;base64,AP8=", "alt": "worst mistakes"}
    assert [page.count(tag) for tag in ("h1", "code", "th", "td")] == [1, 1, 2, 2]


def test_sheets_and_text_pictures() -> None:
    crop = np.zeros((28, 28), np.uint8)
    crop[4:24, 13:16] = 255
    picture = sheet([crop] * 13, ["1>7"] * 13)
    assert picture.shape == (2 * (84 + 16 + 4) + 4, 12 * 88 + 4)
    lines = as_text(crop).split("\n")
    assert len(lines) == 14
    assert lines[5] == " " * 13 + "@@@"


def test_folds_read_each_writer_once() -> None:
    from inkmill.trainer.config import Config
    from inkmill.trainer.cross_validation import fold_configs, summarise
    from inkmill.trainer.data.samples import Sample
    from inkmill.trainer.data.split import split
    from tests.unit.digit_images import cell

    values = {
        "sources": [{"kind": "npz", "path": "own.npz", "name": "own", "test": 0.0}],
        "split": {"validation_groups": ["w1"]},
    }
    config = Config.parse(values, "test")
    samples = [
        Sample(cell(str(n % 10), n), str(n % 10), "own", str(n), f"w{n % 7}") for n in range(420)
    ]
    folds = fold_configs(samples, config, 3)
    held = [group for fold in folds for group in fold.split.hold_out]
    assert sorted(held) == [f"w{n}" for n in range(7)]
    assert len({fold.training.seed for fold in folds}) == 3
    for fold in folds:
        parts = split(samples, fold)
        assert {sample.group for sample in parts.test} == set(fold.split.hold_out)
        assert not {sample.group for sample in parts.train} & set(fold.split.hold_out)
    with pytest.raises(UsageError, match="8 folds over 7 writers"):
        fold_configs(samples, config, 8)
    # A usual share for testing, and a source without writers, change nothing of that.
    usual = Config.parse(
        {"sources": [{"kind": kind, "path": "x", "name": kind} for kind in ("npz", "folder")]},
        "test",
    )
    mine = [replace(sample, source="npz") for sample in samples]
    others = [replace(sample, source="folder", group="") for sample in samples]
    sets = set()
    for fold in fold_configs(mine, usual, 3):
        parts = split([*mine, *others], fold)
        tested = [sample for sample in parts.test if sample.source == "npz"]
        assert {sample.group for sample in tested} == set(fold.split.hold_out)
        assert len(tested) == sum(sample.group in fold.split.hold_out for sample in mine)
        sets.add(tuple(sample.where for sample in parts.test if sample.source == "folder"))
    assert len(sets) == 1
    assert len(sets.pop()) == 105
    common = {"name": "mnist", "sha256": "a", "samples": 10, "by_group": {}}
    own = {"name": "own", "samples": 20, "sure": {"0.99": [18, 1]}}
    found = summarise(
        [
            [
                common | {"accuracy": share},
                own | {"sha256": name, "accuracy": other, "by_group": by},
            ]
            for share, name, other, by in (
                (0.9, "b", 1.0, {"w1": 1.0}),
                (1.0, "c", 0.9, {"w2": 0.9}),
            )
        ]
    )
    assert found["mnist"]["mean"] == pytest.approx(0.95)
    assert (found["own"]["right"], found["own"]["samples"]) == (38, 40)
    assert found["own"]["by_group"] == {"w1": 1.0, "w2": 0.9}
    assert found["own"]["sure"] == {"0.99": [36, 2]}
    alone = [common | {"accuracy": 1.0}, own | {"sha256": "b", "accuracy": 0.9, "by_group": {}}]
    once = summarise([alone, [common | {"accuracy": 1.0}]])
    assert (once["own"]["right"], once["own"]["samples"]) == (18, 20)


def test_folds_by_site_keep_all_writers_of_a_site_together() -> None:
    from inkmill.trainer.config import Config
    from inkmill.trainer.cross_validation import fold_configs
    from inkmill.trainer.data.samples import Sample
    from tests.unit.digit_images import cell

    config = Config.parse({"sources": [{"kind": "strokes", "path": "own.npz"}]}, "test")
    image = cell("7", 1)
    places = {"w1": "north", "w2": "north", "w3": "south", "w4": ""}
    samples = [
        Sample(image, "7", "own" if site else "else", name, name, site=site)
        for name, site in places.items()
    ]
    folds = fold_configs(samples, config, 3, "site")
    assert sorted(fold.split.hold_out for fold in folds) == [("w1", "w2"), ("w3",), ("w4",)]
    with pytest.raises(UsageError, match="4 folds over 3 sites"):
        fold_configs(samples, config, 4, "site")
