"""The command `inkmill`: finds the command's module when it is used, and words every error.

This is the one place that turns errors into exit codes (`inkmill.codes.Exit`) and short
messages. A command is one line in `COMMANDS`; its help stands here too, so that
`inkmill --help` imports none of the modules.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import click

from inkmill import __version__
from inkmill.codes import Exit
from inkmill.errors import InkmillError

_INTERRUPTED = 130


class Command(NamedTuple):
    """Where a command lies, and what `inkmill --help` says of it."""

    module: str
    attribute: str
    section: str
    help: str


_START, _JOBS, _PEOPLE, _OPERATE, _FORMS, _MODELS = (
    "Start here",
    "Jobs",
    "People",
    "Operate",
    "Forms",
    "Models and training",
)

COMMANDS = {
    "demo": Command("demo", "demo", _START, "Read the sample scans, servers and all."),
    "run": Command("local", "run", _START, "Read images from start to finish."),
    "up": Command("local", "up", _START, "Run servers and workers on this machine."),
    "submit": Command("jobs", "submit", _JOBS, "Turn images into a job and send it."),
    "watch": Command("watch", "watch", _JOBS, "Submit what lands in a folder, once."),
    "status": Command("jobs", "status", _JOBS, "Show how a job stands, or all of them."),
    "jobs": Command("jobs", "jobs", _JOBS, "List the jobs."),
    "wait": Command("jobs", "wait", _JOBS, "Wait until a job is finished."),
    "results": Command("jobs", "results", _JOBS, "Write a job's rows as a table."),
    "fix": Command("fix", "fix", _JOBS, "Give a page's corners by hand and read it again."),
    "resume": Command("jobs", "resume", _JOBS, "Send again what got lost."),
    "cancel": Command("jobs", "cancel", _JOBS, "Stop a job; finished rows stay."),
    "delete": Command("jobs", "delete", _JOBS, "Delete a job's scans and values."),
    "review": Command("review", "review", _PEOPLE, "Doubtful fields to people, and back."),
    "audit": Command("review", "audit", _PEOPLE, "Draw accepted fields for blind keying."),
    "calibrate": Command("review", "calibrate", _PEOPLE, "Thresholds that keep a target error."),
    "compare": Command("review", "compare", _PEOPLE, "Read a job again with another model."),
    "crops": Command("review", "crops", _PEOPLE, "Write the pictures behind values."),
    "report": Command("review", "report", _PEOPLE, "Write one page about a job."),
    "worker": Command("worker", "worker", _OPERATE, "Run a worker."),
    "setup": Command("setup", "setup", _OPERATE, "Create the bucket, publish a first model."),
    "quarantine": Command(
        "quarantine", "quarantine", _OPERATE, "What was given up, why, and once more."
    ),
    "chaos": Command("chaos", "chaos", _OPERATE, "Try a cluster: a job under faults."),
    "doctor": Command("doctor", "doctor", _OPERATE, "Check settings, servers and model."),
    "health": Command("health", "health", _OPERATE, "Say whether a worker of this host lives."),
    "form": Command("form", "form", _FORMS, "Make, check and preview form templates."),
    "models": Command("models", "models", _MODELS, "List, publish and promote versions."),
    "train": Command("train", "train", _MODELS, "Train a model."),
    "evaluate": Command("evaluate", "evaluate", _MODELS, "Measure a model on test data."),
    "predict": Command("predict", "predict", _MODELS, "Read digits without servers."),
    "data": Command("data", "data", _MODELS, "Look at training data."),
    "export": Command("export", "export", _MODELS, "Export a model to other runtimes."),
}


class ReaderLeft(Exception):
    """Whoever read our output has left (``| head``): nothing is wrong."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderLeft from None  # click would make it exit code 1, a defect

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [name for name, command in COMMANDS.items() if _is_there(command)]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        command = COMMANDS.get(cmd_name)
        if command is None or not _is_there(command):
            return None
        found: click.Command = getattr(_module(command), command.attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]!r}?" if close else " `inkmill --help` lists them."
            raise click.UsageError(f"{error.format_message().rstrip('.')}.{hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        there = self.list_commands(ctx)
        for section in dict.fromkeys(command.section for command in COMMANDS.values()):
            lines = [(name, COMMANDS[name].help) for name in there]
            lines = [line for line in lines if COMMANDS[line[0]].section == section]
            if lines:
                with formatter.section(section):
                    formatter.write_dl(lines)


def _module(command: Command) -> Any:
    return import_module(f"inkmill.cli.commands.{command.module}")


def _is_there(command: Command) -> bool:
    return find_spec(f"inkmill.cli.commands.{command.module}") is not None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="inkmill")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def inkmill(debug: bool) -> None:
    """Folders of scanned forms become tables of digits: one row for every page, none missing.

    Settings come from INKMILL_* variables and inkmill.toml; docs/reference/settings.md lists them.
    Exit codes: 0 done, 1 a defect, 2 wrong usage, 3 rows in error (--strict), 4 not finished,
    5 Redis or S3 not reachable.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code. Errors are told on stderr."""
    debug = "--debug" in arguments or bool(os.environ.get("INKMILL_DEBUG"))
    # --debug may stand anywhere, since it is wanted after something went wrong.
    arguments = [each for each in arguments if each != "--debug"]
    try:
        code = inkmill.main(arguments, prog_name="inkmill", standalone_mode=False)
        return code if isinstance(code, int) else Exit.DONE
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else Exit.DONE
    except click.ClickException as error:
        error.show()
        return Exit.USAGE if isinstance(error, click.UsageError) else error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return _INTERRUPTED
    except InkmillError as error:
        if debug:
            traceback.print_exc()
        _say(str(error))
        return error.exit_code
    except ReaderLeft:
        # What is buffered still goes nowhere, instead of failing once more at the end.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            _say(
                f"a defect of Inkmill's: {type(error).__name__}: {error}. Please report it with "
                "what the same command says with --debug"
            )
        return Exit.DEFECT


def _say(text: str) -> None:
    click.echo(f"inkmill: {text}", err=True)


if __name__ == "__main__":
    main()
