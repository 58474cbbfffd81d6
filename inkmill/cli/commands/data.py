"""`inkmill data`: look at training data before training."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Check and preview training data."""


@data.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--data", "folder", type=click.Path(path_type=Path), help="Folder of the data.")
def check(config: Path, folder: Path | None) -> None:
    """Read all sources of CONFIG: counts, files that cannot be used, images in two parts."""
    from inkmill.trainer.accounts import describe_data
    from inkmill.trainer.config import Config
    from inkmill.trainer.data import sources
    from inkmill.trainer.data.samples import check_classes
    from inkmill.trainer.data.split import split

    settings = Config.load(config)
    dataset = sources.load(settings, folder)
    check_classes(dataset.samples, settings.classes)
    for line in describe_data(settings, dataset, split(dataset.samples, settings)):
        click.echo(line)


@data.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--data", "folder", type=click.Path(path_type=Path), help="Folder of the data.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("preview.png"))
@click.option("--count", default=14, show_default=True, help="Samples in a row.")
@click.option("--seed", default=33, show_default=True)
def preview(config: Path, folder: Path | None, out: Path, count: int, seed: int) -> None:
    """Draw samples after each step, as found, normalised, augmented, into one PNG."""
    from inkmill.trainer.config import Config
    from inkmill.trainer.data import sources
    from inkmill.trainer.data.files import save_image
    from inkmill.trainer.data.samples import check_classes
    from inkmill.trainer.measure.preview import preview as draw

    settings = Config.load(config)
    dataset = sources.load(settings, folder)
    check_classes(dataset.samples, settings.classes)
    save_image(out, draw(dataset.samples, settings, count, seed))
    click.echo(f"{out}: {count} of {len(dataset.samples)} samples", err=True)


@data.command("from-job")
@click.argument("job")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A folder.")
def from_job(job: str, output: Path) -> None:
    """Write the pages of JOB on which people verified values, as a training source.

    Prints the source for a config; only verified values become samples, audits included.
    """
    from inkmill.cli.commands.jobs import connection
    from inkmill.people.training_data import SCANS, TABLE, TEMPLATE, write_verified

    made = write_verified(connection(), job, output)
    click.echo(
        f'[[sources]]\nkind = "form"\npath = "{output.resolve() / TABLE}"\nform = "{TEMPLATE}"\n'
        f'images = "{SCANS}"\ngroup_column = "document"\n\n[split]\nby = "group"'
    )
    left = f"; {made.left_out} pages were left out" if made.left_out else ""
    click.echo(f"{output}: {made.fields} verified fields on {made.pages} pages{left}", err=True)
