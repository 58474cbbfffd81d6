"""The command `inkmill`: it loads a command's module when it is used, and reports errors.

This is the only place that turns errors into exit codes (`inkmill.codes.Exit`) and short messages.
Each command has one line in `COMMANDS`, with its help, so that `inkmill --help` imports none of the
modules.
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
from inkmill.cli.extras import missing_extra
from inkmill.codes import Exit
from inkmill.confinement import hide_memory
from inkmill.errors import InkmillError
from inkmill.urls import redact

_INTERRUPTED = 130


class Command(NamedTuple):
    """The place of a command in the code and in ``inkmill --help``."""

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
    "demo": Command("demo", "demo", _START, "Read the sample scans, servers included."),
    "run": Command("run", "run", _START, "Submit images, wait, and write the table."),
    "up": Command("up", "up", _START, "Run servers and workers on this machine."),
    "submit": Command("jobs", "submit", _JOBS, "Create a job from images and send it."),
    "watch": Command("watch", "watch", _JOBS, "Submit every file that arrives in a folder."),
    "status": Command("jobs", "status", _JOBS, "Show the state of a job, or of all jobs."),
    "jobs": Command("jobs", "jobs", _JOBS, "List the jobs."),
    "wait": Command("jobs", "wait", _JOBS, "Wait until every item has its row."),
    "results": Command("jobs", "results", _JOBS, "Write a job's rows as a table."),
    "documents": Command(
        "jobs", "documents", _JOBS, "List a job's documents: pages missing, doubled, out of order."
    ),
    "fix": Command("fix", "fix", _JOBS, "Read a page again by corners that you give."),
    "resume": Command("jobs", "resume", _JOBS, "Resend chunks that were lost."),
    "cancel": Command("jobs", "cancel", _JOBS, "Stop a job; finished rows stay."),
    "delete": Command("jobs", "delete", _JOBS, "Delete a job's scans and values."),
    "purge": Command("purge", "purge", _JOBS, "Delete pages, values or reports of a job."),
    "trail": Command("purge", "trail", _JOBS, "Show who viewed, exported and corrected."),
    "review": Command(
        "review", "review", _PEOPLE, "Send doubtful fields to reviewers, import values."
    ),
    "audit": Command("review", "audit", _PEOPLE, "Sample accepted fields for blind keying."),
    "calibrate": Command(
        "review", "calibrate", _PEOPLE, "Find thresholds that keep the target errors."
    ),
    "compare": Command("review", "compare", _PEOPLE, "Read a job again with another model."),
    "crops": Command("review", "crops", _PEOPLE, "Write the images of the cells behind values."),
    "desk": Command("desk", "desk", _PEOPLE, "Serve web pages for jobs, review and templates."),
    "report": Command("review", "report", _PEOPLE, "Write an HTML report of a job."),
    "worker": Command("worker", "worker", _OPERATE, "Run a worker."),
    "setup": Command("setup", "setup", _OPERATE, "Create the bucket and publish a first model."),
    "backup": Command("backup", "backup", _OPERATE, "Copy the bucket into another one."),
    "restore": Command("backup", "restore", _OPERATE, "Fill an empty bucket from a backup."),
    "quarantine": Command(
        "quarantine", "quarantine", _OPERATE, "List and retry images in quarantine."
    ),
    "chaos": Command("chaos", "chaos", _OPERATE, "Test a cluster: read a job under faults."),
    "top": Command("top", "top", _OPERATE, "Show queues, workers and jobs, live."),
    "metrics": Command(
        "metrics", "metrics", _OPERATE, "Print or serve the queue's metrics, for Prometheus."
    ),
    "doctor": Command("doctor", "doctor", _OPERATE, "Check settings, servers, model and workers."),
    "health": Command(
        "health", "health", _OPERATE, "Check whether a worker of this host is alive."
    ),
    "form": Command("form", "form", _FORMS, "Make, check and preview form templates."),
    "models": Command("models", "models", _MODELS, "List, publish and promote versions."),
    "train": Command("train", "train", _MODELS, "Train a model."),
    "trainer": Command(
        "trainer", "trainer", _MODELS, "Carry out trainings from the queue or the desk."
    ),
    "evaluate": Command("evaluate", "evaluate", _MODELS, "Measure a model on test data."),
    "predict": Command("predict", "predict", _MODELS, "Read digits without servers."),
    "data": Command("data", "data", _MODELS, "Check and preview training data."),
    "runs": Command("runs", "runs", _MODELS, "List, show and delete runs of trainings."),
    "export": Command("export", "export", _MODELS, "Export a model to other runtimes."),
}


class ReaderLeft(Exception):
    """The reader of our output exited (``| head``): nothing is wrong."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderLeft from None  # click would exit with code 1, which means a bug

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
            from inkmill.suggestions import did_you_mean

            hint = did_you_mean(args[0], self.list_commands(ctx))
            hint = hint or ": `inkmill --help` lists all commands."
            raise click.UsageError(f"{error.format_message().rstrip('.')}{hint}", ctx) from None

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
    """Turn folders of scanned forms into tables of digits: one row per page, never one missing.

    Settings come from INKMILL_* variables and inkmill.toml; docs/reference/settings.md lists them.
    Exit codes: 0 done, 1 a bug in Inkmill, 2 wrong usage, 3 rows in error (--strict), 4 not
    finished, 5 Redis or S3 unreachable.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code."""
    hide_memory()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code. Errors are reported on stderr."""
    debug = "--debug" in arguments or bool(os.environ.get("INKMILL_DEBUG"))
    # --debug may be anywhere on the line: it is added after something went wrong.
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
            _show_traceback()
        _say(str(error))
        return error.exit_code
    except ReaderLeft:
        # Discard what is still buffered, which would fail again at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:
        lacking = missing_extra(error) if isinstance(error, ModuleNotFoundError) else ""
        if debug:
            _show_traceback()
        elif lacking:
            _say(f"this installation cannot do that: {lacking}")
            return Exit.USAGE
        else:
            _say(
                f"internal error: {type(error).__name__}: {error}. This is a bug in Inkmill. "
                "Please report it with the output of the same command run with --debug"
            )
        return Exit.DEFECT


def _show_traceback() -> None:
    click.echo(redact(traceback.format_exc()), err=True, nl=False)


def _say(text: str) -> None:
    click.echo(f"inkmill: {redact(text)}", err=True)


if __name__ == "__main__":
    main()
