"""The place that is watched: its whole path, and the name of its watch."""

from __future__ import annotations

import os

from inkmill.producer.watch.batches import digest
from inkmill.records.image_ref import S3_PREFIX


def whole(path: str) -> str:
    """A place's path in full, however it was given: marks and batches contain paths."""
    return path if path.startswith(S3_PREFIX) else os.path.abspath(path)  # noqa: PTH100


def default_name(path: str) -> str:
    """The default name of a watch, the same at each start: its place's last part and a digest."""
    place = whole(path)
    last = "".join(c if c.isalnum() else "-" for c in place.rstrip("/").rpartition("/")[2].lower())
    words = last.encode("ascii", "ignore").decode().strip("-")[:40] or "watch"
    return f"{words}-{digest(place).hex()[:6]}"
