"""The options of a submit: one record makes submit, run, watch and the Python function."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import click
import pytest

from inkmill import producer
from inkmill.cli.main import COMMANDS, inkmill, run
from inkmill.codes import Exit
from inkmill.errors import UsageError
from inkmill.producer import Connection, JobStatus, submit
from inkmill.producer.submission import options
from inkmill.producer.submission.options import SubmitOption, SubmitOptions, complete
from inkmill.records.jobs import Job
from tests.fakes import FakeCluster

Scans = Callable[..., Path]
#: Modules that make something of the record when they are imported.
MADE = ("inkmill.producer.submission.submit", "inkmill.producer.watch.watcher")
COMMAND_MODULES = tuple(
    f"inkmill.cli.commands.{COMMANDS[name].module}" for name in ("submit", "run", "watch")
)


class WithColour(SubmitOptions, total=False):
    """The record with a made-up option."""

    colour: Annotated[
        str,
        SubmitOption(
            "Colour of the ink.",
            "The colour of the ink, for this test.",
            default="blue",
            choices=("blue", "red"),
        ),
    ]


@pytest.fixture
def colourful(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A product with one option more in its record; holds the colours that jobs were given."""
    modules = [importlib.import_module(name) for name in (*MADE, *COMMAND_MODULES)]
    given: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(options, "SubmitOptions", WithColour)
        for module in modules:
            importlib.reload(module)
        for module in modules[: len(MADE)]:
            patch.setattr(module, "draft", recording(module, given))
        patch.setattr("inkmill.producer.submit", modules[0].submit)
        yield given
    for module in modules:
        importlib.reload(module)


def recording(module: ModuleType, given: list[str]) -> Callable[..., Job]:
    """The module's draft of a job, which also notes the colour that the job was given."""
    draft = module.draft

    def noting(connection: Any, chosen: Any) -> Job:
        given.append(chosen["colour"])
        made: Job = draft(connection, chosen)
        return made

    return noting


@pytest.fixture
def cli(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """The command line on fakes that are configured, with a worker that is there when waited for.

    Only `inkmill.producer` is patched, where commands look at each call: modules are reloaded here.
    """

    def wait(job: str, *, connection: Connection, **_: object) -> JobStatus:
        cluster.work()
        return producer.status(job, connection=connection)

    monkeypatch.setenv("INKMILL_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setattr("inkmill.producer.connect", lambda *_: cluster.connection)
    monkeypatch.setattr("inkmill.producer.wait", wait)
    monkeypatch.setattr("inkmill.log.set_up_logging", lambda *_: None)
    return cluster


def test_a_new_option_is_in_the_function_and_in_all_commands(
    cli: FakeCluster,
    colourful: list[str],
    scans: Scans,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = str(scans(1))
    for arguments in (
        ["submit", folder],
        ["run", folder, "-o", str(tmp_path / "table.csv")],
        ["watch", folder, "--once"],
    ):
        assert run([arguments[0], "--help"]) == Exit.DONE
        assert "--colour [blue|red]" in capfd.readouterr().out
        del colourful[:]
        assert run([*arguments, "--colour", "red"]) == Exit.DONE, capfd.readouterr().err
        assert set(colourful) == {"red"}, arguments
        assert run([*arguments, "--colour", "green"]) == Exit.USAGE
        capfd.readouterr()

    function = importlib.import_module(MADE[0]).submit
    del colourful[:]
    function(folder, colour="red", connection=cli.connection)
    function(folder, connection=cli.connection)
    assert colourful == ["red", "blue"]
    assert inspect.signature(function).parameters["colour"].default == "blue"
    assert "    colour: The colour of the ink, for this test." in function.__doc__.splitlines()
    with pytest.raises(UsageError, match="--colour green: use one of blue, red"):
        function(folder, colour="green", connection=cli.connection)


def parameters(name: str) -> dict[str, click.Option]:
    command = inkmill.get_command(click.Context(inkmill), name)
    assert command is not None
    return {each.name or "": each for each in command.params if isinstance(each, click.Option)}


@pytest.mark.parametrize("command", ["submit", "run", "watch"])
def test_commands_have_the_defaults_of_the_function(command: str) -> None:
    found, function = parameters(command), inspect.signature(submit).parameters
    for name, option in options.all_options().items():
        assert found[name].get_default(click.Context(inkmill)) == option.default, name
        assert function[name].default == option.default, name
        assert function[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert found[name].help


def test_every_option_is_described_for_python() -> None:
    described = inspect.getdoc(submit) or ""
    for name, option in options.all_options().items():
        assert f"\n    {name}: {option.doc.split()[0]}" in described
    assert "**options" not in described
    assert max(map(len, described.splitlines())) <= 100


def test_a_misspelt_option_is_refused_with_a_proposal(cluster: FakeCluster, scans: Scans) -> None:
    with pytest.raises(TypeError, match="'fomr' is not an option of a submit: did you mean 'form'"):
        submit(scans(1), fomr="tally.yaml", connection=cluster.connection)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"priority": "urgent"}, "--priority urgent: use one of high, normal, low"),
        ({"precision": "fast"}, "--precision fast: use one of any, float32, bfloat16, float16"),
        ({"doubles": "both"}, "--doubles both: use one of hold, keep, first, last"),
        ({"chunk_size": 0}, "--chunk-size 0: must be at least 1"),
        ({"retention_days": -1}, "--retention-days -1: must be at least 0"),
    ],
)
def test_values_that_are_not_allowed_are_refused(given: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        complete(given)


def test_run_reports_wrong_inputs_before_it_starts_servers(
    scans: Scans,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def started(workers: int) -> None:
        raise AssertionError("servers were started")

    monkeypatch.setattr("inkmill.cli.commands.run.any_stack", started)
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    folder = str(scans(1))
    for arguments, words in (
        (["/nowhere"], "/nowhere"),
        ([folder, "--name", "Not A Name"], "is not a job name"),
        ([folder, "--form", "/nowhere.yaml"], "/nowhere.yaml"),
        ([folder, "--expect", str(empty)], "the list is empty"),
        ([folder, "--keys", str(empty)], "add --form or --forms"),
    ):
        assert run(["run", *arguments]) == Exit.USAGE, arguments
        assert words in capfd.readouterr().err


def test_run_takes_the_same_name_again(
    cli: FakeCluster, scans: Scans, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = tmp_path / "expected.txt"
    expected.write_text("000.png\nlate.png\n")
    table = tmp_path / "table.jsonl"
    command = ["run", str(scans(2)), "--name", "a", "--expect", str(expected), "-o", str(table)]
    assert run(command) == Exit.DONE
    assert [line.count("MISSING") for line in table.read_text().splitlines()] == [0, 0, 1]
    worked = list(cli.worked)
    assert run(command) == Exit.DONE
    assert cli.worked == worked
    assert "already finished" in capfd.readouterr().err
