"""inkmill up, run, demo: everything on this machine, or one shot."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inkmill.records.jobs import DOUBLES, HOLD

if TYPE_CHECKING:
    from inkmill.local.workers import LocalWorkers
    from inkmill.settings import Settings

#: Where the local servers keep what they hold, below the folder of the command.
HOME = Path(".inkmill")


def say(text: str) -> None:
    """Progress goes to stderr: stdout belongs to results."""
    click.echo(text, err=True)


@contextlib.contextmanager
def local_stack(
    workers: int, base: Settings, home: Path = HOME, *, shipped: bool = False
) -> Iterator[tuple[Settings, LocalWorkers]]:
    """Servers, a model and workers on this machine; yields their settings and the workers.

    What they hold lies in ``home``, and is there again the next time: also a model that people
    trained, or that an earlier Inkmill shipped. With ``shipped`` it is the one of this Inkmill.
    """
    from inkmill.local.servers import Stack
    from inkmill.local.workers import LocalWorkers

    with ExitStack() as held:
        say("starting Redis and SeaweedFS on loopback")
        stack = held.enter_context(Stack(home, base))
        version = publish_shipped(stack.settings, replace=shipped)
        say(f"model {stack.settings.model} {version[:12]}; starting {workers} worker(s)")
        log = home / "worker.log"
        running = held.enter_context(LocalWorkers(stack.settings, workers, log))
        if home == HOME:
            announced = stack.announce(Path())
            held.callback(announced.unlink, missing_ok=True)
        running.wait_ready()
        yield stack.settings, running


def publish_shipped(settings: Settings, *, replace: bool = False) -> str:
    """Publish the shipped model if the store holds none, or to replace what it holds.

    Returns the version that is latest.
    """
    from inkmill.backends.store import open_store
    from inkmill.models.pretrained import load
    from inkmill.models.registry import Registry

    registry = Registry(open_store(settings), settings.model)
    current = registry.current()
    if current is None:
        return registry.publish(load())
    newest = load() if replace else None
    if newest is None or newest.manifest.version == current.version:
        return current.version
    return registry.publish(newest)


@contextlib.contextmanager
def any_stack(workers: int) -> Iterator[Settings]:
    """The stack that is configured or already up in this folder, else a local one."""
    from inkmill.settings import Settings

    settings = Settings.load()
    if {"redis_url", "s3_endpoint", "s3_bucket"} & settings.model_fields_set:
        yield settings
        return
    with local_stack(workers, settings) as (started, _):
        yield started


def check_inputs(
    paths: tuple[str, ...],
    form: str | None,
    forms: str | None = None,
    keys: str | None = None,
) -> None:
    """Raise for a path, template or table that is wrong, before any server is started for it."""
    from inkmill.producer.inputs.document_keys import read_keys
    from inkmill.producer.inputs.sources import STDIN, Inputs
    from inkmill.producer.submission.submit import load_templates
    from inkmill.settings import Settings

    if named := [path for path in paths if path != STDIN]:
        Inputs(named, Settings.load().input_buckets)
    load_templates(form, forms)
    if keys is not None:
        read_keys(Path(keys))


@click.command()
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True)
def up(workers: int) -> None:
    """Run Redis, an S3 server and workers on this machine until Ctrl-C.

    Other inkmill commands in the same folder find them by themselves.
    """
    from inkmill.settings import Settings

    # A second Ctrl-C while stopping must not leave servers behind.
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    with local_stack(workers, Settings.load()) as (settings, running):
        say(f"up: Redis {settings.redis_url.rpartition('@')[2]}, S3 {settings.s3_endpoint}")
        say("in this folder: inkmill submit PATH..., inkmill status, ...; Ctrl-C stops")
        while not stopped:
            time.sleep(0.2)
            if revived := running.revive():
                say(f"{revived} worker(s) had ended and were started again: {HOME}/worker.log")
        say("stopping")


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--form", type=click.Path(dir_okay=False), help="Template of the scanned form.")
@click.option("--forms", metavar="DIR", help="Folder of templates; each page's own is told.")
@click.option("--keys", metavar="FILE", help="Table of documents' keys by source (CSV).")
@click.option("--doubles", type=click.Choice(DOUBLES), default=HOLD, show_default=True)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Default: stdout, as CSV.")
@click.option(
    "--format", "kind", type=click.Choice(["csv", "jsonl", "parquet", "xlsx"]), default=None
)
@click.option("--long", "long", is_flag=True, help="One line for each field instead of each page.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
@click.option("--strict", is_flag=True, help="Exit 3 when rows are in error.")
def run(
    paths: tuple[str, ...],
    output: str | None,
    kind: str | None,
    long: bool,
    workers: int,
    strict: bool,
    **options: Any,
) -> None:
    """Read images from start to finish: submit, wait, export.

    Uses the configured stack, or one that is up in this folder, else starts one and stops it.
    """
    from inkmill.cli.commands.jobs import export, watch
    from inkmill.cli.display import sending_line
    from inkmill.producer import submit

    check_inputs(paths, options["form"], options["forms"], options["keys"])
    with any_stack(workers) as settings:
        with sending_line() as line:
            job = submit(paths, settings=settings, progress=line.update, **options)
        line.conclude()
        summary = watch(job, settings)
        export(job, output, kind, long=long, settings=settings)
    if strict and summary.statuses.get("error", 0):
        sys.exit(3)
