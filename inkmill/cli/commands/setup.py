"""inkmill setup: what a new cluster needs once, before its first job."""

from __future__ import annotations

import click


@click.command()
def setup() -> None:
    """Create the bucket and publish the shipped model, each unless it is there already.

    Safe to repeat: a bucket or a model that is there stays as it is. Prints the version that
    is latest.
    """
    from inkmill.backends.store import open_store
    from inkmill.cli.commands.local import publish_shipped
    from inkmill.errors import StoreDenied
    from inkmill.settings import Settings

    settings = Settings.load()
    store = open_store(settings)
    try:
        store.create_bucket()
    except StoreDenied:
        # Somebody else may have made it, for a role that may only use it: it must be readable.
        next(store.folders(""), None)
    click.echo(publish_shipped(settings))
