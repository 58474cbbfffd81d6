"""Folders and prefixes of the server from which the desk may submit: the setting desk_sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from inkmill.errors import UsageError
from inkmill.producer.inputs.regular import is_below
from inkmill.records.image_ref import S3_PREFIX


def check_source(source: str, allowed: Sequence[str]) -> str:
    """Return the folder, file or prefix that may be submitted, with links resolved.

    Args:
        source: A path on the server, or an ``s3://`` URL.
        allowed: The setting desk_sources.

    Raises:
        UsageError: It lies in none of the allowed ones, or is not there. The message is the same
            for both: the desk does not tell which files a server has.
    """
    source = source.strip()
    refused = UsageError(
        f"{source!r} is not a folder from which the desk may submit: choose one below "
        f"{', '.join(allowed) or 'a folder named in INKMILL_DESK_SOURCES'}"
    )
    if source.startswith(S3_PREFIX):
        roots = (each.rstrip("/") for each in allowed if each.startswith(S3_PREFIX))
        if any(source.rstrip("/") == root or source.startswith(f"{root}/") for root in roots):
            return source
        raise refused
    if "\0" in source or not source:
        raise refused
    real = os.path.realpath(source)
    folders = (each for each in allowed if not each.startswith(S3_PREFIX))
    if not any(is_below(real, os.path.realpath(each)) for each in folders):
        raise refused
    if not Path(real).exists():
        raise refused
    return real
