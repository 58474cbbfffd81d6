"""A reader of strips from data to a model: trained, resumed, measured, used by the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill.backends.store import MemoryStore
from inkmill.errors import NotFinished
from tests.unit.test_trainer_strings import character, config

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits of six writers, and a table of four strips."""
    folder = tmp_path_factory.mktemp("data")
    images = np.stack([character(str(n % 10)) for n in range(60)])
    # No two writers write alike: copies of what is measured with would be left out.
    images[np.arange(60), 0, np.arange(60) // 10] = 250
    writers = np.array([f"w{n // 10}" for n in range(60)])
    labels = np.arange(60) % 10
    np.savez(folder / "own.npz", images=images, labels=labels, writer=writers)
    lines = ["image,label"]
    for number in range(8):
        text = f"{number}4{number}"
        strip = np.concatenate([character(each) for each in text], axis=1)
        cv2.imwrite(str(folder / f"{number}.png"), strip)
        lines.append(f"{number}.png,{text}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


def settings() -> Any:
    classes = [*"0123456789", ".", "-", "X", "reject"]
    sources = [
        {"kind": "npz", "path": "own.npz", "name": "own", "licence": "drawn by a test"},
        {"kind": "strips", "path": "table.csv", "name": "strips"},
    ]
    training = {
        "steps": 3,
        "batch": 4,
        "initialiser": "he",
        "deterministic": True,
        "averaging": 0.9,
    }
    return config(
        classes=classes,
        sources=sources,
        split={"by": "group", "test": 0.3, "validation": 0.3},
        training=training,
        strings={"whole": 0.2},
        validation={"every": 1, "best": True, "most": 20},
    )


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A model, trained for three steps with a stop in between, and its folder."""
    from inkmill.cli.training.finished import write
    from inkmill.trainer.loop import TrainingOptions
    from inkmill.trainer.publish import finish_strings
    from inkmill.trainer.train import resume, train

    few = pytest.MonkeyPatch()
    for name in ("_VALIDATION", "_TEST", "_REJECTS"):
        few.setattr(finish_strings, name, 12)
    folder, store = tmp_path_factory.mktemp("run"), MemoryStore()
    options: dict[str, Any] = {"folder": folder, "data": data, "processes": 0}
    with pytest.raises(NotFinished):
        train(settings(), store, "mine", TrainingOptions(**options, stop_after=2))
    finished = resume(store, "mine", TrainingOptions(**options))
    few.undo()
    write(finished.files, folder / "model")
    return finished, folder / "model"


def test_a_training_ends_with_a_reader_that_passes_its_check(trained: Any) -> None:
    finished, folder = trained
    manifest = finished.files.manifest
    assert manifest.reads_strips
    assert finished.reader.check(finished.files.golden) < 1e-3
    sets = {each["name"]: each for each in manifest.metrics["sets"]}
    assert set(sets) == {"own", "strips"}
    assert sets["own"]["samples"] == 12
    assert {"accepted", "wrong_accepted", "by_length"} <= set(sets["own"])
    assert manifest.metrics["rejects"]["samples"] == 12
    assert manifest.calibration["samples"] > 12
    card = (folder / "model-card.md").read_text()
    assert "numbers without cells" in card
    assert "drawn by a test" in card


def test_strips_are_validated_while_they_are_learnt(trained: Any) -> None:
    finished, folder = trained
    lines = [json.loads(line) for line in (folder.parent / "log.jsonl").read_text().splitlines()]
    found = {each["step"]: each for each in lines if "validation_loss" in each}
    assert sorted(found) == [1, 2, 3]
    assert all(np.isfinite(each["validation_loss"]) for each in found.values())
    assert all("symbols" in name for name in found[3]["by_length"])
    best = min(found.values(), key=lambda each: each["validation_loss"])
    assert finished.files.manifest.metrics["best"]["step"] == best["step"]


def test_the_data_card_of_strips_counts_them(data: Path, tmp_path: Path) -> None:
    from inkmill.trainer.measure.data_card import make_data_card, summary, write_data_card

    card = make_data_card(settings(), data, folds=2, most=0)
    write_data_card(card, tmp_path)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert sum(figures["by_class"]["strips"].values()) == 8
    assert set(figures["by_class"]) == {*"0123456789", "strips"}
    assert "own: 60 images, 6 writers, drawn by a test" in "\n".join(summary(card))
    assert card.not_classes() == []


def test_the_gate_measures_the_current_reader_on_the_new_ones_strips(trained: Any) -> None:
    from inkmill.trainer.publish.finish_strings import measure_other_strings

    finished, _ = trained
    manifest = finished.files.manifest
    again = measure_other_strings(finished.files, finished.tests, manifest)
    assert again == manifest.metrics["sets"]


def command(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command prints, errors included."""
    from inkmill.cli.main import run

    assert run(list(words)) == code
    printed = capsys.readouterr()
    return printed.out if code == 0 else printed.out + printed.err


def test_commands_evaluate_and_predict_with_it(
    trained: Any, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(trained[1])
    table = f"strips:{data / 'table.csv'}"
    # Five of the eight were trained on.
    unseen = json.loads(command(capsys, "evaluate", folder, "--data", table, "--json"))
    assert unseen["strips"] == 3
    every = ("--data", table, "--part", "all")
    figures = json.loads(command(capsys, "evaluate", folder, *every, "--json"))
    assert figures["strips"] == 8
    assert figures["by_length"]["3"]["total"] == 8
    out = data / "report"
    words = command(capsys, "evaluate", folder, *every, "--out", str(out))
    assert "of 8 strips read correctly as a whole" in words
    assert (out / "report.html").is_file()
    fewer = command(capsys, "evaluate", folder, *every, "--digits-only", "--json")
    assert json.loads(fewer)["strips"] == 8
    asked = ["predict", "--string", str(data / "0.png"), "--model", folder]
    strings = json.loads(command(capsys, *asked, "--json"))["strings"]
    assert sum(each["probability"] for each in strings) <= 1
    assert "0.png: " in command(capsys, *asked)
    said = command(capsys, "predict", "--string", "none.png", "--model", folder, code=3)
    assert "none.png: cannot be read" in said


def test_what_goes_into_training_can_be_looked_at(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        'architecture = "strips"',
        f"classes = {json.dumps(settings().classes)}",
        'sources = [{kind = "npz", path = "own.npz"}, {kind = "strips", path = "table.csv"}]',
        "negatives = {blank = 0.1, reject = 0.1}",
    ]
    (tmp_path / "own.toml").write_text("\n".join(lines))
    out = tmp_path / "preview.png"
    words = ["--data", str(data), "--out", str(out), "--count", "8"]
    command(capsys, "data", "preview", str(tmp_path / "own.toml"), *words)
    picture = cv2.imread(str(out), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    # Three rows of strips, each with white ink on black and a caption below.
    assert picture.shape[0] > 3 * 40
    assert (picture < 60).mean() > 0.1


def test_a_model_of_strips_is_not_exported(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("onnx", "savedmodel"):
        out = str(tmp_path / kind)
        said = command(capsys, "export", str(trained[1]), "--to", kind, "--out", out, code=2)
        assert "only models of digits are exported" in said


def test_a_model_of_strips_is_not_measured_on_digits(
    trained: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    said = command(capsys, "evaluate", str(trained[1]), code=2)
    assert "give --data strips:TABLE or --config" in said
