"""inkmill setup: prepare a new cluster for its first job."""

from __future__ import annotations

import click


@click.command()
def setup() -> None:
    """Create the bucket and publish the shipped model, unless they already exist.

    Safe to repeat: an existing bucket or model stays as it is. Prints the latest version.
    """
    from inkmill.backends.store import open_store
    from inkmill.cli.servers import publish_shipped
    from inkmill.errors import StoreDenied
    from inkmill.settings import Settings

    settings = Settings.load()
    store = open_store(settings)
    try:
        store.create_bucket()
    except StoreDenied:
        # The role may not create buckets; then the bucket must exist and be readable.
        next(store.folders(""), None)
    click.echo(publish_shipped(settings))
