"""inkmill backup, restore: copies of the bucket in another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inkmill.cli.display import many, say
from inkmill.errors import UsageError

if TYPE_CHECKING:
    from inkmill.backends.store import S3Store
    from inkmill.producer.backup import Copied
    from inkmill.settings import Settings

_other_bucket = click.argument("bucket", metavar="FILE", type=click.Path(path_type=Path))


@click.command()
@_other_bucket
def backup(bucket: Path) -> None:
    """Copy the bucket into another one, while jobs run; again, it copies what changed.

    FILE names the other bucket in the format of inkmill.toml: s3_bucket, and where they differ
    s3_endpoint, s3_access_key and s3_secret_key. What was deleted here is deleted there.
    """
    from inkmill.producer import backup as copying

    here, there = _stores(bucket)
    there.create_bucket()
    _show(copying.copy(here, there), f"to {there.bucket}")


@click.command()
@_other_bucket
def restore(bucket: Path) -> None:
    """Fill the empty bucket of the settings from a backup; workers go on with unfinished jobs.

    FILE names the backup's bucket, as for `inkmill backup`. Redis may be empty.
    """
    from inkmill.producer import backup as copying

    here, there = _stores(bucket)
    here.create_bucket()
    copying.check_empty(here)
    _show(copying.copy(there, here), f"from {there.bucket}")
    say(f"{many(copying.reopen(here), 'job')} not finished: workers go on with them")


def _stores(bucket: Path) -> tuple[S3Store, S3Store]:
    """The bucket of the settings, and the other one. Raises UsageError if they are the same."""
    from inkmill.backends.store import open_store
    from inkmill.settings import Settings

    here = Settings.load()
    other = Settings.load({"INKMILL_CONFIG": str(bucket)}, folder=bucket)
    if "s3_bucket" not in other.model_fields_set:
        raise UsageError(f"{bucket}: name the other bucket as s3_bucket")
    there = _filled_in(here, other)
    if (there.s3_endpoint, there.s3_bucket) == (here.s3_endpoint, here.s3_bucket):
        raise UsageError(f"{bucket}: this is the bucket of the settings: name another one")
    return open_store(here), open_store(there)


def _filled_in(here: Settings, other: Settings) -> Settings:
    """The other bucket's settings; what its file leaves out is as here."""
    given = {name: getattr(other, name) for name in other.model_fields_set}
    return here.model_copy(update=given)


def _show(done: Copied, where: str) -> None:
    size = f"{done.size / 1e6:,.1f} MB"
    say(
        f"{many(done.copied, 'object')} ({size}) copied {where}, {done.kept:,} there already, "
        f"{done.removed:,} removed"
    )
