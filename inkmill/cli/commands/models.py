"""inkmill models: published models, and which version is served."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import many, say
from inkmill.cli.model_argument import read_path
from inkmill.cli.options import json_option, model_name_option

if TYPE_CHECKING:
    from inkmill.models.manifest import Manifest
    from inkmill.models.registry import Registry
    from inkmill.settings import Settings


@click.group()
def models() -> None:
    """List, publish and promote the models that workers serve."""


def _registry(name: str | None) -> Registry:
    from inkmill.backends.store import open_store
    from inkmill.models.registry import Registry
    from inkmill.settings import Settings

    settings = Settings.load()
    return Registry(open_store(settings), name or settings.model)


@models.command("list")
@model_name_option
@json_option
def list_models(name: str | None, as_json: bool) -> None:
    """List the versions in the store, the newest last; the one that is served has a star.

    A version whose manifest cannot be read is listed with the reason.
    """
    from inkmill.errors import ModelError

    registry = _registry(name)
    try:
        pointer = registry.current()
    except ModelError as error:
        say(str(error))
        pointer = None
    for version, stored in sorted(registry.versions(), key=lambda each: each[1]):
        latest = pointer is not None and pointer.version == version
        when = datetime.fromtimestamp(stored, UTC).isoformat(timespec="seconds")
        record, words = _described(registry, version)
        if as_json:
            shown = {"version": version, "latest": latest, "stored": when}
            click.echo(json.dumps(shown | record))
        else:
            click.echo(f"{'*' if latest else ' '} {version[:16]}  {when}  {words}")


def _described(registry: Registry, version: str) -> tuple[dict[str, object], str]:
    """What a list says of a version, as JSON and in words; also of one that cannot be read."""
    from inkmill.errors import ModelError, NotFound

    try:
        manifest = registry.show(version)
    except (ModelError, NotFound) as error:
        remedy = "publish it again, or delete its folder in the bucket"
        return {"error": str(error)}, f"unreadable: {error} ({remedy})"
    accuracy = manifest.metrics.get("accuracy")
    shown = f"{accuracy:.4f}" if isinstance(accuracy, float) else "-"
    words = f"{manifest.architecture}  {len(manifest.classes)} classes  accuracy {shown}"
    return {"metrics": manifest.metrics}, words


@models.command()
@click.argument("version", default="latest")
@model_name_option
def show(version: str, name: str | None) -> None:
    """Print the manifest of VERSION as JSON; its first 4 digits are enough."""
    registry = _registry(name)
    found = registry.find(version)
    manifest = json.loads(registry.show(found).encode())
    click.echo(json.dumps({"version": found, **manifest}, indent=2, ensure_ascii=False))


@models.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@model_name_option
@click.option("--no-promote", is_flag=True, help="Store the version without serving it.")
@click.option(
    "--margin", default=0.002, show_default=True, help="Largest loss of accuracy to accept."
)
@click.option(
    "--force", is_flag=True, help="Publish even if it is worse than the version served now."
)
def publish(
    path: Path | None, name: str | None, no_promote: bool, margin: float, force: bool
) -> None:
    """Publish the model in the folder PATH, or of a run (run:RUN); without PATH, the shipped one.

    A model that reads numbers without cells gets the name of the setting strips_model; without
    PATH, give that name to publish the shipped one.

    Prints the version. A model is refused if it is worse than the one served now, by more than the
    margin, on the test sets that both were measured on.
    """
    from inkmill.models import pretrained
    from inkmill.settings import Settings
    from inkmill.trainer.publish.gate import gate

    settings = Settings.load()
    if path is not None:
        files = read_path(path)
    else:
        files = pretrained.load_strips() if name == settings.strips_model else pretrained.load()
    registry = _registry(_name_for(files.manifest, name, settings))
    check = None if force else gate(files.manifest, margin)
    click.echo(registry.publish(files, promote=not no_promote, gate=check))


def _name_for(manifest: Manifest, name: str | None, settings: Settings) -> str:
    """The name to publish under. Raises UsageError for that of models which read something else."""
    from inkmill.errors import UsageError

    usual, other, what = settings.model, settings.strips_model, "digits"
    if manifest.reads_strips:
        usual, other, what = other, usual, "numbers without cells"
    if name == other:
        raise UsageError(f"--name {name}: this model reads {what}; publish it as {usual}")
    return name or usual


@models.command()
@click.argument("version")
@model_name_option
@click.option("--form", type=click.Path(exists=True), help="Require a comparison on this form.")
@click.option(
    "--instead-of", metavar="OLD", help="Refuse unless this version is the one served now."
)
def promote(version: str, name: str | None, form: str | None, instead_of: str | None) -> None:
    """Serve VERSION from now on; workers switch within seconds.

    With --form, only if `inkmill compare` has read pages of that form with both models.
    """
    registry = _registry(name)
    found = registry.find(version)
    # Not where no form is given: promoting is also how a damaged pointer is set again.
    current = registry.current() if form is not None else None
    if form is not None and current is not None and current.version != found:
        from inkmill.people import compare
        from inkmill.producer import connect
        from inkmill.template.form import Form

        compared = compare.require(connect(), Form.load(form), current.version, found)
        say(f"compared: {compared.changed} of {compared.accepted} accepted fields changed")
    gate = _only_instead_of(registry.find(instead_of)) if instead_of is not None else None
    pointer = registry.promote(found, gate=gate)
    click.echo(pointer.version)


def _only_instead_of(old: str) -> Callable[[Manifest], None]:
    """A check that refuses to replace any version but this one, also one published meanwhile."""
    from inkmill.errors import UsageError

    def check(current: Manifest) -> None:
        if current.version != old:
            raise UsageError(
                f"--instead-of {old[:12]}: {current.version[:12]} is served by now; compare with "
                "that one first"
            )

    return check


@models.command()
@model_name_option
def rollback(name: str | None) -> None:
    """Serve the previous version again, and list the jobs that used the latest one."""
    from inkmill.producer.model_choice import jobs_read_with

    registry = _registry(name)
    before = registry.latest()
    pointer = registry.rollback()
    click.echo(pointer.version)
    used = list(jobs_read_with(registry.store, registry.name, before.version))
    say(f"{many(len(used), 'job')} read with {before.version[:16]}:")
    for job in used:
        say(f"  {job.label}")
