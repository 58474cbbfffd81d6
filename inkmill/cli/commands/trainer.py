"""inkmill trainer: carries out trainings that were submitted, or asked for at the desk."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from click.core import ParameterSource

from inkmill.cli.display import many, say
from inkmill.cli.options import COUNT, EXISTING_FILE, FILE, FOLDER
from inkmill.cli.servers import connection


@click.command()
@click.argument("config", required=False, type=EXISTING_FILE)
@click.option("--data", type=FOLDER, help="Folder of the data.  [default: INKMILL_DATA]")
@click.option(
    "--devices", metavar="LIST", help="Devices, such as GPU:0,GPU:1.  [default: all GPUs]"
)
@click.option(
    "--processes", type=int, help="Processes that augment images.  [default: one less than cores]"
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="With CONFIG: share of the training samples that are corrections.",
)
@click.option(
    "--sample",
    type=COUNT,
    default=200,
    show_default=True,
    help="With CONFIG: pages of the job to read with the new model.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=3600.0,
    show_default=True,
    help="With CONFIG: seconds to wait until workers have read them.",
)
@click.option("--once", is_flag=True, help="With CONFIG: carry out what was asked for, then exit.")
@click.option("--only", metavar="ID", hidden=True)
@click.option("--outcome", type=FILE, hidden=True)
def trainer(
    config: Path | None,
    data: Path | None,
    devices: str | None,
    processes: int | None,
    share: float,
    sample: int,
    wait: float,
    once: bool,
    only: str | None,
    outcome: Path | None,
) -> None:
    """Carry out trainings that were submitted, or those asked for at the desk, until Ctrl-C.

    Without CONFIG: what `inkmill train --submit` put into the queue, one run after the other, with
    checkpoints in the object store. One that is killed is resumed by another trainer.

    With CONFIG: what people ask for at the desk. It describes the data that the served model was
    trained on; a job's corrections are added. The new model is stored, measured beside the one that
    is served, and reads pages of the job again. It is not served before a supervisor promotes it at
    the desk.
    """
    if config is None:
        from inkmill.cli.training import serving

        _refuse_given("share", "sample", "wait", "once", only="with CONFIG")
        serving.trainer(data=data, devices=devices, processes=processes, only=only)
        return
    _refuse_given("devices", "processes", only="without CONFIG")
    from inkmill.cli import corrections
    from inkmill.desk.training import trainer as loop
    from inkmill.desk.training.asked import Trainings
    from inkmill.trainer.config import Config

    connected = connection()
    if only is not None and outcome is not None:
        training, _ = Trainings(connected.store).get(only)
        how = corrections.How(config, data, share, sample, wait)
        with tempfile.TemporaryDirectory(prefix="inkmill-training-") as folder:
            found = corrections.carry_out(connected, training, how, Path(folder))
        outcome.write_bytes(found.encode())
        return
    # Before anybody waits for a training that cannot begin.
    Config.load(config)
    more = ["--share", str(share), "--sample", str(sample), "--wait", str(wait)]
    child = loop.child_command(config, data, more)
    carrying = loop.Trainer(connected, child, config.name)
    if not once:
        say("waiting for trainings that people ask for at the desk; Ctrl-C ends")
    count = carrying.serve(once=once, announce=say)
    say(f"carried out {many(count, 'training')}")


def _refuse_given(*options: str, only: str) -> None:
    """Raise click.UsageError for options on the command line that would have no effect."""
    context = click.get_current_context()
    for each in options:
        if context.get_parameter_source(each) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{each}: only {only}")
