"""evaluate, predict, data, export on the command line, with the shipped model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from inkmill.errors import NotFinished, UsageError
from tests.unit.digit_images import cell, write_folder, write_mnist

CONFIG = """
[[sources]]
kind = "folder"
path = "own"
[augmentation]
rotation = 5.0
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_mnist(tmp_path / "mnist")
    write_folder(tmp_path / "own")
    (tmp_path / "own.toml").write_text(CONFIG)
    monkeypatch.setenv("INKMILL_DATA", str(tmp_path))
    return tmp_path


def run(group: str, *arguments: str, code: int = 0) -> Result:
    from importlib import import_module

    command = getattr(import_module(f"inkmill.cli.commands.{group}"), group)
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_data_check_counts_and_names_what_is_wrong(data: Path) -> None:
    (data / "own" / "3" / "broken.png").write_bytes(b"")
    cv2.imwrite(str(data / "own" / "4" / "same.png"), cell("4", 4))
    lines = run("data", "check", str(data / "own.toml")).stdout.splitlines()
    # 61 images: a quarter for testing, and one of each class for validation; a copy is not learnt.
    assert lines[0] == "samples: 34 train, 10 validation, 16 test"
    assert "not learnt: 4/same.png is equal to 4/4_0000.png, which is measured with" in lines
    assert lines[1].startswith("by class: 0 6, 1 6, 2 6, 3 6, 4 7, 5 6")
    assert "not used: 3/broken.png: EMPTY_FILE" in "\n".join(lines)


def test_data_preview_writes_a_sheet(data: Path) -> None:
    out = data / "preview.png"
    run("data", "preview", str(data / "own.toml"), "--out", str(out), "--count", "5")
    picture = cv2.imread(str(out), cv2.IMREAD_GRAYSCALE)
    # as found, normalised, three augmented
    assert picture.shape == (5 * (22 + 84 + 16 + 8), 5 * 88 + 4)
    (data / "own" / "x").mkdir()
    cv2.imwrite(str(data / "own" / "x" / "odd.png"), cell("1", 1))
    with pytest.raises(UsageError, match=r"'x': 1 times, first in x/odd\.png"):
        run("data", "preview", str(data / "own.toml"), "--out", str(out))


def write_noisy(folder: Path, ink: int, each: int = 4) -> None:
    """Digits on paper with noise, in a folder for each class."""
    rng = np.random.default_rng(3)
    for label in "0123456789":
        (folder / label).mkdir(parents=True)
        for number in range(each):
            image = cell(label, number * 10 + int(label), side=60).astype(float)
            image = 245 - (245 - image) * (245 - ink) / 205 + rng.normal(0, 8, image.shape)
            cv2.imwrite(str(folder / label / f"{number}.png"), image.clip(0, 255).astype(np.uint8))


def test_data_check_says_what_would_stop_a_training(data: Path) -> None:
    """All filters keep the ink of noisy paper, but a fixed threshold loses that of a pencil."""
    write_noisy(data / "noisy", ink=40)
    write_noisy(data / "pencil", ink=180)
    for name in ("median", "gaussian", "equalise", "clahe", "erode", "dilate", "binarise"):
        config = data / "noisy.toml"
        config.write_text(f'filters = [{{name = "{name}"}}]\n{CONFIG.replace("own", "noisy")}')
        assert "not used" not in run("data", "check", str(config)).stdout
    config.write_text(
        'filters = [{name = "binarise", method = "fixed"}]\n' + CONFIG.replace("own", "pencil")
    )
    with pytest.raises(UsageError, match="no training sample has any ink"):
        run("data", "check", str(config))
    cv2.imwrite(str(data / "pencil" / "7" / "dark.png"), cell("7", 5))
    cv2.imwrite(str(data / "pencil" / "7" / "black.png"), cell("7", 6))
    told = r"40 of 42 images cannot be used \(40 times: the preprocessing \(binarise\) leaves"
    with pytest.raises(UsageError, match=told + r".* most_lost = 0\.96"):
        run("data", "check", str(config))
    config.write_text("most_lost = 0.96\n" + config.read_text())
    assert run("data", "check", str(config)).stdout.count("leaves no ink of it") == 40


@pytest.mark.tensorflow
def test_a_data_card_says_what_is_wrong_with_the_data(data: Path) -> None:
    own = data / "own"
    for label in "0123456789":
        for number in range(6, 16):
            cv2.imwrite(str(own / label / f"{number}.png"), cell(label, number * 10))
    (own / "3/6.png").rename(own / "8/wrong.png")
    (own / "5/7.png").rename(own / "0/wrong.png")
    (own / "4/copy.png").write_bytes((own / "2/8.png").read_bytes())
    (own / "7/broken.png").write_bytes(b"")
    (own / "9/blank.png").write_bytes(cv2.imencode(".png", np.full((48, 48), 245, np.uint8))[1])
    out = data / "card"
    lines = run("data", "card", str(own), "mnist:mnist", "--out", str(out)).stdout
    assert f"{own}: 162 images, writers unknown, licence not stated" in lines
    figures = json.loads((out / "figures.json").read_text())
    assert figures["duplicates"]["labelled twice"] == [["2/8.png", "4/copy.png"]]
    assert figures["not_used"] == {
        "EMPTY_FILE: the file is empty: copy or scan it again": 1,
        "no ink was found in it": 1,
    }
    assert sum(figures["by_class"]["7"].values()) == 16 + 8
    suspects = {each["where"]: each["looks_like"] for each in figures["labels"]["suspects"]}
    assert suspects.items() >= {"8/wrong.png": "3", "0/wrong.png": "5"}.items()
    assert len(suspects) < 12
    assert (out / "suspects.csv").read_text().count("\n") == len(suspects) + 1
    page = (out / "data-card.html").read_text()
    assert page.count("<img") == 2
    assert "8/wrong.png" in page
    # By a config, with its split; its labels are not looked at.
    config = str(data / "own.toml")
    assert "7 24" not in run("data", "card", config, "--out", str(out), "--labels", "0").stdout
    figures = json.loads((out / "figures.json").read_text())
    assert figures["labels"] is None
    assert figures["parts"]["test"] > 0
    with pytest.raises(UsageError, match=r"fewer than two classes have 50 images"):
        run("data", "card", str(own), "--out", str(out), "--folds", "50")
    with pytest.raises(UsageError, match="nowhere: folder not found"):
        run("data", "card", "nowhere", "--out", str(out))


def test_suspects_are_images_of_which_others_are_sure() -> None:
    """Two classes that are told apart: swapped labels are found, also among unknown writers."""
    from inkmill.trainer.data.samples import Sample
    from inkmill.trainer.measure.suspects import check_labels

    rng = np.random.default_rng(2)
    labels = np.array([0, 1] * 60)
    features = (labels[:, None] * 3 + rng.normal(0, 0.5, (120, 8))).astype(np.float32)
    swapped = [7, 50, 51]
    labels[swapped] = 1 - labels[swapped]
    picture = np.zeros((2, 2), np.uint8)
    names = [str(label) for label in labels]
    for groups in ([""] * 120, [f"w{at % 6}" for at in range(120)]):
        samples = [
            Sample(picture, name, "own", f"{at}", group)
            for at, (name, group) in enumerate(zip(names, groups, strict=True))
        ]
        samples.append(Sample(picture, "9", "own", "alone", groups[0]))
        found = check_labels(samples, np.vstack([features, features[:1]]), folds=5, seed=1)
        assert sorted(each.at for each in found.suspects) == swapped
        assert all(each.confidence > 0.7 > 0.3 > each.given for each in found.suspects)
        assert (found.count, found.rare, found.by_group) == (120, {"9": 1}, bool(groups[0]))


@pytest.mark.tensorflow
def test_predict_names_each_digit_and_each_failure(data: Path) -> None:
    image = np.full((60, 60), 250, np.uint8)
    cv2.line(image, (30, 10), (30, 50), 30, 4)
    cv2.imwrite(str(data / "one.png"), image)
    (data / "odd.png").write_bytes(b"no image")
    result = run("predict", str(data / "one.png"), str(data / "odd.png"), "--no-picture", code=3)
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{data / 'one.png'}: 1 (confidence ")
    assert "odd.png: NOT_AN_IMAGE" in lines[1]


@pytest.mark.tensorflow
def test_predict_random_shows_picture_truth_and_reading(data: Path) -> None:
    text = run("predict", "--random", "--seed", "3").stdout
    assert "##" in text or "@@" in text
    assert "correct: " in text.splitlines()[-1]
    assert ", predicted: " in text.splitlines()[-1]
    record = json.loads(run("predict", "--random", "--seed", "3", "--json").stdout)
    assert record["correct"] in "0123456789"


@pytest.mark.tensorflow
def test_evaluate_any_model_on_any_data(data: Path) -> None:
    arguments = ("shipped", "--data", "folder:own", "--robust", "0", "--json")
    figures = json.loads(run("evaluate", *arguments, "--out", str(data / "report")).stdout)
    assert figures["samples"] == 60
    assert sum(each["total"] for each in figures["by_class"].values()) == 60
    assert (data / "report" / "report.html").exists()
    twice = ("--data", "folder:own", "--data", "folder:more", "--robust", "0", "--json")
    write_folder(data / "more", each=3)
    figures = json.loads(run("evaluate", "shipped", *twice).stdout)
    assert set(figures["by_source"]) == {"folder:own", "folder:more"}
    # A config's model was trained on its other samples: they are no test.
    by_config = ("--config", str(data / "own.toml"), "--robust", "0")
    assert " of 15 read correctly" in run("evaluate", *by_config).stdout
    assert " of 60 read correctly" in run("evaluate", *by_config, "--part", "all").stdout
    none = data / "none.toml"
    none.write_text(CONFIG + "[split]\ntest = 0.0\n")
    with pytest.raises(
        UsageError, match="the part test has no samples: choose another one with --part"
    ):
        run("evaluate", "--config", str(none))
    # MNIST's training images are never taken for testing.
    text = run("evaluate", "--robust", "0").stdout
    assert " of 20 read correctly" in text


@pytest.mark.tensorflow
def test_folds_go_on_only_with_the_config_that_they_were_begun_with(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inkmill.trainer.runs import checkpoints

    def stopped(config: Any, store: Any, name: str, how: Any, parent: Any) -> None:
        checkpoints.begin(store, name, config, "digest")
        raise NotFinished(f"{name} stopped; resume with: {how.resume_hint}")

    def resumed(store: Any, name: str, how: Any) -> None:
        raise NotFinished(f"{name} goes on")

    monkeypatch.setattr("inkmill.trainer.train.train", stopped)
    monkeypatch.setattr("inkmill.trainer.train.resume", resumed)
    monkeypatch.chdir(data)
    group = 'sources=[{kind="folder", path="own", group="(?P<group>[0-9])[.]png"}]'
    call = ("train", str(data / "own.toml"), "--folds", "2", "--run", "mine", "--set", group)
    with pytest.raises(NotFinished, match=r"the same command again, with --run mine"):
        run(*call)
    with pytest.raises(NotFinished, match="mine-fold1 goes on"):
        run(*call)
    with pytest.raises(UsageError, match=r"mine-fold1 was started with another config .*steps"):
        run(*call, "--steps", "7")
    with pytest.raises(UsageError, match=r"another config \(split.hold_out\)"):
        run(*call[:3], "3", *call[4:])
    with pytest.raises(UsageError, match="0 folds over"):
        run(*call[:3], "0", *call[4:])


@pytest.mark.parametrize(
    "flags",
    [("--steps", "9"), ("--set", "training.echo=2"), ("--folds", "2"), ("--hold-out", "a"),
     ("--deterministic",), ("--run", "other")],
)  # fmt: skip
def test_a_resumed_run_takes_no_other_config(flags: tuple[str, ...]) -> None:
    told = run("train", "--resume", "mine", *flags, code=2).output
    assert f"leave out {flags[0]}" in told


@pytest.mark.tensorflow
def test_export_from_the_command_line(data: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    out = data / "model.onnx"
    assert "golden set differ by" in run("export", "--to", "onnx", "--out", str(out)).stdout
    import onnxruntime

    session = onnxruntime.InferenceSession(str(out))
    crops = np.zeros((3, 28, 28), np.uint8)
    probabilities = session.run(None, {"crops": crops})[0]
    assert probabilities.shape[0] == 3


def test_wrong_arguments_are_explained(data: Path, monkeypatch: Any) -> None:
    assert "give either images or --random" in run("predict", code=2).output
    assert "write KIND:PATH" in run("evaluate", "--data", "mnist", code=2).output
    with pytest.raises(UsageError, match=r"sources\.0\.kind"):
        run("evaluate", "--data", "zip:own")
    with pytest.raises(UsageError, match=r"manifest\.json cannot be read"):
        run("export", str(data), "--to", "onnx", "--out", str(data / "m.onnx"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images in ``own``, and the model of a short training on most of them."""
    from inkmill.cli.commands.train import train

    root = tmp_path_factory.mktemp("trained")
    write_folder(root / "own")
    (root / "own.toml").write_text(CONFIG.replace("own", str(root / "own")))
    tiny = ["--steps", "2", "--batch", "10", "--processes", "0", "--precision", "float32"]
    tiny += ["--set", "architecture=lenet5", "--out", str(root / "run"), "--run", "mine"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in ("INKMILL_S3_ENDPOINT", "INKMILL_S3_BUCKET"):
            patch.delenv(name, raising=False)
        result = CliRunner().invoke(train, [str(root / "own.toml"), *tiny], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return root


@pytest.mark.tensorflow
def test_images_that_a_model_was_trained_on_are_no_test_of_it(trained: Path) -> None:
    model, own = str(trained / "run" / "model"), str(trained / "own")
    # 60 images: 15 for testing; the others were learnt, or the temperature was fitted on them.
    alone = ("evaluate", model, "--data", f"folder:{own}", "--robust", "0", "--json")
    result = run(*alone)
    figures = json.loads(result.stdout)
    assert (figures["samples"], figures["left_out"]) == (15, 45)
    assert "left out: 45 images that this model was trained on" in result.stderr
    every = run(*alone, "--part", "all")
    assert json.loads(every.stdout)["samples"] == 60
    assert "45 images of 60 were used to train this model" in every.stderr
    by_config = ("--config", str(trained / "own.toml"), *alone[4:])
    tested = json.loads(run("evaluate", model, *by_config).stdout)
    assert tested["data"] == figures["data"]
    # Copies in another file kind are the same images.
    copies = trained / "copies"
    for path in sorted((trained / "own").rglob("*.png")):
        copy = copies / path.parent.name / f"{path.stem}.bmp"
        copy.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(copy), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    read = run(*alone[:3], f"folder:{copies}", *alone[4:])
    assert json.loads(read.stdout)["left_out"] == 45
    seen = {
        json.loads(
            run(
                "predict", "--random", "--seed", str(seed), "--json",
                "--model", model, "--data", f"folder:{copies}",
            ).stdout
        )["image"]
        for seed in range(40)
    }  # fmt: skip
    assert len(seen) <= 15


@pytest.mark.tensorflow
def test_a_model_measured_only_on_what_it_knows_is_an_error(trained: Path, tmp_path: Path) -> None:
    from inkmill.cli.model_argument import read_folder
    from inkmill.models import training_images
    from inkmill.trainer.data.labelled_files import read_image, save_image

    files = read_folder(trained / "run" / "model")
    known = 0
    for path in sorted((trained / "own").rglob("*.png")):
        from inkmill.trainer.data.samples import Sample

        digest = Sample(read_image(path), "", "", "").digest
        if training_images.listed(files.trained_on, [digest])[0]:
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            save_image(tmp_path / path.parent.name / path.name, read_image(path))
            known += 1
    assert known == 45
    model = str(trained / "run" / "model")
    with pytest.raises(UsageError, match="was trained on all 45 images: give others, or --part"):
        run("evaluate", model, "--data", f"folder:{tmp_path}", "--robust", "0")
