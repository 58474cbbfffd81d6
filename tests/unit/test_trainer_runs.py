"""Runs: those that diverge or stop early, their snapshots, lists of them, and fine-tuning."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from inkmill.backends.store import MemoryStore
from inkmill.errors import NotFinished, NotFound, UsageError
from inkmill.models.weights import decode_weights
from tests.unit.digit_images import cell, write_folder
from tests.unit.small_trainings import config, options

pytestmark = pytest.mark.tensorflow

TINY = ("--steps", "4", "--batch", "10", "--processes", "0", "--deterministic")


def run(name: str, *arguments: str, code: int = 0) -> Result:
    from importlib import import_module

    command = getattr(import_module(f"inkmill.cli.commands.{name}"), name)
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets of images, and the run ``first`` on one of them."""
    root = tmp_path_factory.mktemp("home")
    write_folder(root / "old")
    for label in "0123456789":
        (root / "new" / label).mkdir(parents=True)
        for number in range(4):
            image = cell(label, 500 + 10 * number + int(label))
            cv2.imwrite(str(root / "new" / label / f"{label}_{number}.png"), image)
    (root / "old.toml").write_text(
        'architecture = "lenet5"\n[[sources]]\nkind = "folder"\npath = "old"\nname = "old"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, root)
        run("train", "old.toml", "--run", "first", *TINY)
    return root


def settle(patch: pytest.MonkeyPatch, root: Path) -> None:
    patch.chdir(root)
    for name in ("INKMILL_S3_ENDPOINT", "INKMILL_S3_BUCKET", "INKMILL_DATA", "INKMILL_CONFIG"):
        patch.delenv(name, raising=False)


@pytest.fixture
def there(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, as the current one."""
    shutil.copytree(home, tmp_path / "there")
    settle(monkeypatch, tmp_path / "there")
    return tmp_path / "there"


def test_a_run_that_diverges_says_so_and_leaves_no_broken_checkpoint(
    home: Path, tmp_path: Path
) -> None:
    from inkmill.trainer.runs import checkpoints
    from inkmill.trainer.runs.listing import show
    from inkmill.trainer.train import train

    store = MemoryStore()
    settings = config(
        sources=[{"kind": "folder", "path": "old"}],
        training={"learning_rate": 1e38, "schedule": "constant", "weight_decay": 0.0},
        checkpoints={"every": 1},
    )
    with pytest.raises(UsageError, match=r"run wild diverged: the loss is no number since a step"):
        train(settings, store, "wild", options(home, tmp_path))
    found = checkpoints.latest(store, "wild")
    assert found is None or found[0] < 30
    assert show(store, "wild").result is None


def test_a_run_stops_where_validation_no_longer_improves(home: Path, tmp_path: Path) -> None:
    from inkmill.trainer.runs import checkpoints
    from inkmill.trainer.train import resume, train

    store = MemoryStore()
    settings = config(
        sources=[{"kind": "folder", "path": "old"}],
        training={"steps": 1000, "learning_rate": 0.5, "schedule": "constant"},
        validation={"every": 1, "patience": 2},
    )
    finished = train(settings, store, "early", options(home, tmp_path))
    figures = finished.files.manifest.metrics
    assert figures["steps"] == figures["best"]["step"] + 2 < 1000
    said = (tmp_path / "log.jsonl").read_text()
    at = figures["best"]["step"]
    assert f"stopped early: the validation loss has not fallen since step {at}" in said
    # The weights are the best ones; resumed, it is finished at once with the same.
    newest = checkpoints.latest(store, "early")
    assert newest is not None
    weights = decode_weights(finished.files.weights, finished.files.manifest)
    expected = newest[1]["best/logits/bias"].astype(np.float16)
    np.testing.assert_array_equal(weights["logits/bias"], expected)
    again = resume(store, "early", options(home, tmp_path))
    assert again.files.weights == finished.files.weights


class Losses:
    """Validation losses that are known before."""

    def __init__(self, *losses: float) -> None:
        self.count, self._losses = 1, iter(losses)

    def read(self, weights: Any) -> Any:
        from inkmill.trainer.progress.readings import Validated

        none = np.zeros((0, 28, 28), np.uint8)
        return Validated(next(self._losses), 0.5, "class", {}, none)


PLATEAU = {"schedule": "plateau", "learning_rate": 1.0, "decay": 0.25, "decay_patience": 2}


def test_a_plateau_is_two_validations_without_a_lower_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from inkmill.trainer.progress import validation

    losses = [5.0, 4.0, 4.0, 4.1, 3.9, 4.2, 3.9, 3.9, 3.9]
    expected = [1.0, 1.0, 1.0, 0.25, 0.25, 0.25, 0.0625, 0.0625, 0.015625]
    settings = config(training=PLATEAU, validation={"best": False})
    for stop in (0, 3, 7):
        reading = Losses(*losses)
        monkeypatch.setattr(validation, "reading_of", lambda *_, reading=reading: reading)
        first = validation.Validator(settings, [], {})
        factors = []
        for step in range(len(losses)):
            if step == stop:  # as in a run that is resumed
                kept, first = first.arrays(), validation.Validator(settings, [], {})
                first.restore(kept)
            first.measure(step, {})
            factors.append(first.factor)
        assert factors == expected


def test_the_learning_rate_falls_on_a_plateau(home: Path, tmp_path: Path) -> None:
    """And without images for validation it cannot."""
    from inkmill.trainer.train import train

    folder = [{"kind": "folder", "path": "old"}]
    settings = config(
        sources=folder,
        training={**PLATEAU, "steps": 40, "balance": "loss"},
        validation={"every": 1, "best": False},
    )
    train(settings, MemoryStore(), "flat", options(home, tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    rates = {each["step"]: each["learning_rate"] for each in lines if "learning_rate" in each}
    assert rates[0] == 1.0
    assert rates[40] in [0.25**count for count in range(1, 20)]
    unsplit = settings.split.model_copy(update={"validation": 0.0})
    nothing = settings.model_copy(update={"split": unsplit})
    with pytest.raises(UsageError, match=r"need images for validation.*set validation in \[split"):
        train(nothing, MemoryStore(), "none", options(home, tmp_path))


def test_runs_are_listed_shown_read_with_and_deleted(there: Path) -> None:
    (line,) = [json.loads(each) for each in run("runs", "list", "--json").stdout.splitlines()]
    assert (line["name"], line["state"], line["steps"]) == ("first", "finished", [4])
    assert run("runs", "list").stdout.splitlines()[1].startswith("first  finished  ")
    shown = json.loads(run("runs", "show", "first").stdout)
    assert shown["config"]["architecture"] == "lenet5"
    assert shown["result"]["sets"][0]["samples"] == 15
    # It has its model, and before it was finished, that of its newest checkpoint.
    from inkmill.cli.model_argument import read_folder, read_path
    from inkmill.trainer.runs import snapshot
    from inkmill.trainer.runs.storage import FolderStore

    assert read_path(Path("run:first")) == read_folder(Path("runs/first/model"))
    Path("runs/first/result.json").rename("result.json")
    unfinished = snapshot.model_of(FolderStore(there), "first").manifest
    assert unfinished.metrics == {"run": "first", "steps": 4}
    Path("result.json").rename("runs/first/result.json")
    # Either knows its images.
    asked = ("--data", "folder:old", "--robust", "0", "--json")
    figures = json.loads(run("evaluate", "run:first", *asked).stdout)
    assert (figures["samples"], figures["left_out"]) == (15, 45)
    assert "predicted: " in run("predict", "--model", "run:first", "--random", "--data",
                                "folder:new").stdout  # fmt: skip
    with pytest.raises(NotFound, match="no run named second: inkmill runs list shows all"):
        run("evaluate", "run:second", *asked)
    assert run("runs", "prune").stdout == ""
    assert run("runs", "prune", "--days", "0").stdout == "first\n"
    assert "there are no runs yet" in run("runs", "list").stderr
    with pytest.raises(NotFound, match="no run named first"):
        run("runs", "delete", "first")


def test_fine_tuning_begins_with_a_model_and_rehearses_its_data(there: Path) -> None:
    from inkmill.cli.model_argument import read_folder
    from inkmill.models import training_images
    from inkmill.trainer.fine_tuning import Parent, with_parent
    from inkmill.trainer.train import resume, train

    first = read_folder(there / "runs/first/model")
    tune = ("train", "--from", "runs/first/model", "--data", "folder:new")
    said = run(*tune, "--run", "tuned", *TINY).stderr
    assert "by source: folder 40, old 60" in said
    assert "old: " in said
    assert " before, " in said
    files = read_folder(there / "runs/tuned/model")
    assert files.manifest.parents == (first.manifest.version,)
    # A third turn names both.
    third = with_parent(first, Parent(files), [])
    assert third.manifest.parents == (files.manifest.version, first.manifest.version)
    assert {each["name"] for each in files.manifest.metrics["before"]} == {"folder", "old"}
    both = training_images.encode([], files.trained_on, first.trained_on)
    assert both == files.trained_on
    # Few steps at a low rate: the weights are still near those of the beginning.
    before, after = (decode_weights(each.weights, each.manifest) for each in (first, files))
    assert 0 < np.abs(after["logits/bias"] - before["logits/bias"]).max() < 0.01
    # A run that was stopped ends with the same weights, from what is stored with it.
    from inkmill.trainer.config import Config

    settings = Config.parse(dict(files.manifest.config), "test")
    store = MemoryStore()
    with pytest.raises(NotFinished):
        train(settings, store, "two", options(there, there / "two", stop_after=2), Parent(first))
    assert resume(store, "two", options(there, there / "two")).files.weights == files.weights


def test_what_a_model_knows_is_no_test_of_what_begins_with_it(there: Path) -> None:
    """Tuned on all images that the model knows and some more: only the others are a test."""
    shutil.move(there / "old.toml", there / "gone.toml")
    shutil.move(there / "old", there / "same")
    for path in sorted((there / "new").rglob("*.png")):
        shutil.copy(path, there / "same" / path.parent.name / f"new_{path.name}")
    tune = (
        "train",
        "--from",
        "runs/first/model",
        "--data",
        "folder:same",
        "--set",
        "split.test=0.5",
    )
    said = run(*tune, "--run", "tuned", *TINY).stderr
    assert "not rehearsed, as not below" in said
    known = re.search(r"(\d+) test images are not used: the model to begin with was trained", said)
    assert known is not None
    # Half of the hundred images are for testing: all of them are known, or still a test.
    assert 0 < int(known[1]) < 50
    assert f" of {50 - int(known[1])} test images read correctly" in said


def test_wrong_requests_for_fine_tuning_are_explained(there: Path) -> None:
    assert "continues a model with new images" in run("train", "--from", "runs/first/model",
                                                      code=2).output  # fmt: skip
    (there / "other.toml").write_text((there / "old.toml").read_text().replace("lenet5", "lenet"))
    with pytest.raises(
        UsageError, match="the architecture lenet5 with no first stage, the config lenet"
    ):
        run("train", "other.toml", "--from", "runs/first/model", "--run", "tuned")
    assert "give one folder" in run("train", "--data", "a", "--data", "b", code=2).output
    resumed = run("train", "--resume", "first", "--from", "shipped", "--data", "folder:new", code=2)
    assert "leave out --from, --data folder:new" in resumed.output


SWEEP = """
architecture = "lenet5"
sources = [{kind = "folder", path = "old"}]
validation = {every = 2}
training = {steps = 4, batch = 10, deterministic = true}
[sweep]
seeds = [1, 2]
[sweep.keys]
training.learning_rate = [1e-6, 0.003]
"""


def test_a_sweep_ranks_what_it_tried_and_is_continued(there: Path) -> None:
    (there / "sweep.toml").write_text(SWEEP)
    call = ("train", "sweep.toml", "--run", "tried", "--processes", "0")
    assert run("data", "check", "sweep.toml").stdout.startswith("samples: ")
    assert "leave out one of the two" in run(*call, "--folds", "2", code=2).output
    found = json.loads(run(*call).stdout)
    # The lower validation loss first, which is not the learning rate that learns nothing.
    assert [each["training.learning_rate"] for each in found] == [0.003, 1e-6]
    assert found[0]["validation_loss"] < found[1]["validation_loss"]
    assert found[0]["runs"] == ["tried-trial2-s1", "tried-trial2-s2"]
    assert found[0]["validation_loss"] == pytest.approx(sum(found[0]["losses"]) / 2, abs=1e-6)
    folder = there / "runs/tried"
    head, best, _ = (folder / "sweep.csv").read_text().splitlines()
    assert head.startswith("rank,training.learning_rate,runs,validation loss,")
    assert best.startswith("1,0.003,2,")
    assert (folder / "sweep.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "tried-trial2-s1/model/manifest.json").exists()
    # Finished trials are not trained again; a deleted one is.
    assert " of 4: " not in run(*call).stderr
    run("runs", "delete", "tried-trial1-s2")
    assert "trial 2 of 4: tried-trial1-s2: training.learning_rate = 1e-06" in run(*call).stderr
    with pytest.raises(
        UsageError, match=r"tried-trial1-s1 was started with another config .*steps"
    ):
        run(*call, "--steps", "5")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[1e-6, 0.003]", "[-1.0]", "learning_rate = -1.0: training.learning_rate: Input should"),
        ("training.learning_rate", "training.speed", "training.speed: no such key"),
        ("[1e-6, 0.003]", "{low = 1e-4, high = 1e-2}", "a grid needs a list of values"),
        ("seeds = [1, 2]", "sedes = [1]", "sweep.sedes: Extra inputs"),
        ("seeds = [1, 2]", 'search = "random"\ntrials = 2000', "runs are more than 1000"),
    ],
)
def test_a_wrong_sweep_is_explained_before_the_first_trial(
    there: Path, old: str, new: str, words: str
) -> None:
    text = SWEEP.replace(old, new)
    if "random" in new:
        text = text.replace("[1e-6, 0.003]", "{low = 1e-5, high = 0.1, log = true}")
    (there / "sweep.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(words)):
        run("train", "sweep.toml", "--run", "tried", "--processes", "0")
    assert not list(there.glob("runs/tried*/run.json"))
