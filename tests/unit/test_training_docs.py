"""The pages about training agree with the trainer, and the commands for own data run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from inkmill.cli.main import inkmill
from inkmill.forms.cut.filters import FILTERS
from inkmill.trainer import config
from inkmill.trainer.settings import tables
from inkmill.trainer.settings.augmentation import Augmentation
from inkmill.trainer.settings.sources import Source
from inkmill.trainer.settings.strings import Strings
from inkmill.trainer.sweeps.trials import Range, Sweep
from tests.unit.digit_images import write_folder, write_mnist

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXT = (DOCS / "reference/training-config.md").read_text(encoding="utf-8")
HANDWRITING = (DOCS / "tutorials/own-handwriting.md").read_text(encoding="utf-8")
OWN_DATA = (DOCS / "how-to/train-on-own-data.md").read_text(encoding="utf-8")
PAGES = [page.read_text(encoding="utf-8") for page in sorted(DOCS.rglob("*.md"))]
TABLES: dict[str, type[BaseModel]] = {
    "Top level": config.Config,
    r"\[\[sources\]\]": Source,
    r"\[split\]": tables.Split,
    r"\[training\]": tables.Training,
    r"\[negatives\]": tables.Negatives,
    r"\[strings\]": Strings,
    r"\[augmentation\]": Augmentation,
    r"\[reading\]": tables.Reading,
    r"\[validation\]": tables.Validation,
    r"\[checkpoints\]": tables.CheckpointSettings,
    r"\[sweep\]": Sweep,
}


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_is_in_its_table(heading: str) -> None:
    section = re.search(rf"^## {heading}\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert section is not None
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| (.*) \|$", section[1], re.MULTILINE))
    fields = TABLES[heading].model_fields
    # Tables within the table have sections of their own.
    here = {name: each for name, each in fields.items() if each.annotation not in TABLES.values()}
    more = Range.model_fields if TABLES[heading] is Sweep else {}
    assert rows == {name: field.description for name, field in {**here, **more}.items()}


def test_every_filter_is_described() -> None:
    for name in FILTERS:
        assert f"| `{name}` |" in TEXT


def commands(*texts: str) -> list[list[str]]:
    """The words of each `$ inkmill` line."""
    found = (re.findall(r"^\$ inkmill (.*)$", text, re.MULTILINE) for text in texts)
    # What comes after a pipe is another program's.
    return [shlex.split(line.split(" | ")[0]) for lines in found for line in lines]


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def find(name: str) -> click.Command:
    command = inkmill.get_command(click.Context(inkmill), name)
    assert command is not None, name
    return command


@pytest.mark.parametrize("words", commands(*PAGES), ids=" ".join)
def test_every_command_in_the_text_can_be_parsed(words: list[str]) -> None:
    command, rest = find(words[0]), words[1:]
    if isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None
        command, rest = found, rest[1:]
    command.make_context(words[0], rest)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, without servers and without a folder of data."""
    monkeypatch.chdir(tmp_path)
    for name in ("INKMILL_S3_ENDPOINT", "INKMILL_S3_BUCKET", "INKMILL_DATA", "INKMILL_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def invoke(words: list[str]) -> Any:
    result: Any = CliRunner().invoke(find(words[0]), words[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.tensorflow
def test_the_tutorial_makes_a_model_that_reads_these_hands_better(alone: Path) -> None:
    """Photos of six kinds by three hands, drawn from fonts: the same commands, fewer steps."""
    from bench.photos import write_photos
    from inkmill.trainer.data import idx

    drawn = idx.mnist(write_mnist(alone / "drawn", train=10, test=450), "mnist").samples
    digits = [each for each in drawn if each.part == "test"]
    write_photos(digits, alone, {"digits": 15, "unseen": 30})
    assert len({path.suffix for path in alone.glob("unseen/*/*")}) == 6
    accuracy = {}
    for words in commands(HANDWRITING):
        if words[0] == "train":
            words += ["--steps", "60", "--batch", "32", "--processes", "0"]
            words += ["--learning-rate", "0.002", "--precision", "float32"]
        if words[0] == "evaluate":
            figures = json.loads(invoke([*words, "--robust", "0", "--json"]).stdout)
            # None of them is known to either model.
            assert (figures["samples"], figures["left_out"], figures["problems"]) == (300, 0, [])
            accuracy[words[1]] = figures["interval"]
        else:
            invoke(words)
    assert accuracy["runs/hand/model"][0] > accuracy["shipped"][1], accuracy
    assert (alone / "report/report.html").exists()


@pytest.mark.tensorflow
def test_the_commands_on_own_data_run(alone: Path) -> None:
    tmp_path = alone
    write_folder(tmp_path / "digits")
    text = section(OWN_DATA, "From a folder to a model")
    example = text.split("# own.toml\n")[1].split("```")[0]
    (tmp_path / "own.toml").write_text(example.replace('"lenet"', '"lenet5"'))
    for words in commands(text):
        if words[-1] == "model.onnx":
            pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
        words = ["20" if word == "10000" else word for word in words]
        words += ["--processes", "0", "--batch", "20"] if words[0] == "train" else []
        words += ["--robust", "20"] if words[0] == "evaluate" else []
        invoke(words)
    for made in (
        "preview.png",
        "card/data-card.html",
        "report/report.html",
        "saved/saved_model.pb",
        "model.onnx",
    ):
        assert (tmp_path / made).exists()
    shutil.rmtree(tmp_path / "saved")
