"""Where an image's bytes are, if they are not in the chunk itself.

A chunk carries small images inline. For the others an item names a file in the job's own folder,
by its SHA-256, or an object in a bucket of the user's. This is the only place that knows how the
two are written as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_JOB_FILE = re.compile(r"image:([0-9a-f]{64})")
S3_PREFIX = "s3://"


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of several pages, or a large one, stored once in the job's folder."""

    digest: str

    def __str__(self) -> str:
        return f"image:{self.digest}"


@dataclass(frozen=True, slots=True)
class UserObject:
    """An object in a bucket that the user lets Inkmill read."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{S3_PREFIX}{self.bucket}/{self.key}"


ImageRef = JobFile | UserObject


def encode(ref: ImageRef | None) -> str:
    """A reference as text; "" for bytes that are inline."""
    return "" if ref is None else str(ref)


def parse(text: str) -> ImageRef | None:
    """The reference in a text, None for "". Raises ValueError for anything else."""
    if not text:
        return None
    if found := _JOB_FILE.fullmatch(text):
        return JobFile(found[1])
    return parse_url(text)


def parse_url(url: str) -> UserObject:
    """The bucket and key of ``s3://bucket/key``; the key may be a prefix, or "".

    Raises ValueError for anything else.
    """
    bucket, _, key = url.removeprefix(S3_PREFIX).partition("/")
    if not url.startswith(S3_PREFIX) or not bucket:
        raise ValueError(f"{url[:200]!r} is not an image reference")
    return UserObject(bucket, key)
