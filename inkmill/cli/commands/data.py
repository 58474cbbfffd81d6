"""inkmill data: check, describe and preview training data."""

from __future__ import annotations

from pathlib import Path

import click

from inkmill.cli.display import say
from inkmill.cli.options import ANY_PATH, COUNT, FOLDER, config_argument, data_option, job_argument
from inkmill.cli.servers import connection


@click.group()
def data() -> None:
    """Check, describe and preview training data."""


@data.command()
@config_argument
@data_option
def check(config: Path, folder: Path | None) -> None:
    """Do all that a training of CONFIG does with its data before the first step.

    Says counts, unusable files, images without ink, copies that are not learnt.
    """
    from inkmill.trainer.config import Config
    from inkmill.trainer.feed import maker_of
    from inkmill.trainer.preparation import prepare

    settings = Config.load(config)
    prepared = prepare(settings, folder)
    for line in prepared.describe(settings, every=True):
        click.echo(line)
    prepared.check(settings)
    maker_of(settings, prepared.material).make(0)


@data.command()
@config_argument
@data_option
@click.option(
    "--out", type=ANY_PATH, default=Path("preview.png"), show_default=True, help="Picture to write."
)
@click.option("--count", type=COUNT, default=14, show_default=True, help="Samples per step.")
@click.option("--seed", default=33, show_default=True, help="Choose the same samples again.")
def preview(config: Path, folder: Path | None, out: Path, count: int, seed: int) -> None:
    """Draw samples of CONFIG after each step (as found, normalised, augmented) into one PNG."""
    from inkmill.trainer.config import Config
    from inkmill.trainer.data import readers
    from inkmill.trainer.data.labelled_files import save_image
    from inkmill.trainer.data.samples import check_classes
    from inkmill.trainer.measure.preview import preview as draw
    from inkmill.trainer.measure.preview import preview_strings

    settings = Config.load(config)
    dataset = readers.load(settings, folder)
    check_classes(dataset.samples, settings.classes, settings.drawn)
    draw = preview_strings if settings.reads_strips else draw
    save_image(out, draw(dataset.samples, settings, count, seed))
    say(f"{out}: {count} of {len(dataset.samples)} samples")


@data.command()
@click.argument("sources", nargs=-1, required=True, metavar="CONFIG|KIND:PATH|FOLDER...")
@data_option
@click.option(
    "--out", type=FOLDER, default=Path("data-card"), show_default=True, help="Folder to write to."
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Folds in which labels are checked.",
)
@click.option(
    "--labels",
    "most",
    type=click.IntRange(min=0),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Most images whose labels are checked; 0 skips it.",
)
def card(sources: tuple[str, ...], folder: Path | None, out: Path, folds: int, most: int) -> None:
    """Write a card of training data: counts, writers, licences, equal images, doubtful labels.

    The data are those of a training config, sources as KIND:PATH, or folders with one folder for
    each class.
    """
    from inkmill.cli.labelled_data import config_of
    from inkmill.trainer.measure import data_card

    made = data_card.make_data_card(config_of(sources), folder, folds, most)
    data_card.write_data_card(made, out)
    say(f"data card: {out / 'data-card.html'}")
    for line in data_card.summary(made):
        click.echo(line)


@data.command("from-job")
@job_argument
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder to write to.")
def from_job(job: str, output: Path) -> None:
    """Write the pages of JOB with values that people verified, as a training source.

    Prints the source for a config. Only verified values become samples, including those of audits.
    """
    from inkmill.forms.cut.recut import strips_again
    from inkmill.people import training_data
    from inkmill.people.training_data import SCANS, TABLE, TEMPLATE

    made = training_data.write_verified(connection(), job, output, strips_again)
    split = '\n[split]\nby = "group"'
    if made.fields > made.strips or not made.strips:
        click.echo(
            f'[[sources]]\nkind = "form"\npath = "{output.resolve() / TABLE}"\n'
            f'form = "{TEMPLATE}"\nimages = "{SCANS}"\ngroup_column = "document"\n{split}'
        )
    if made.strips:
        table = output.resolve() / training_data.STRIPS_TABLE
        say("for the model that reads numbers without cells:")
        click.echo(
            f'[[sources]]\nkind = "strips"\npath = "{table}"\n'
            f'images = "{training_data.STRIPS}"\nlabel_column = "text"\n'
            f'group_column = "document"\n{split}'
        )
    left = f"; {made.left_out} pages were left out" if made.left_out else ""
    say(f"{output}: {made.fields} verified fields on {made.pages} pages{left}")
