"""What may be an identifier, checked before it becomes a part of a key."""

from __future__ import annotations

import re

from inkmill.errors import UsageError

_JOB = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_PERSON = re.compile(r"[a-z0-9][a-z0-9._@-]{0,79}")
_FORM = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_job(job: str) -> bool:
    """Whether this is a valid job id."""
    return _JOB.fullmatch(job) is not None and ".." not in job


def check_job(job: str) -> str:
    """Return ``job`` if it is a valid job id, else raise UsageError."""
    if not is_job(job):
        raise UsageError(
            f"{job!r} is not a job name: use lower-case letters, digits, '.', '_' and '-', "
            "at most 80, beginning with a letter or digit"
        )
    return job


def check_model(name: str) -> str:
    """Return ``name`` if it is a valid model name, else raise UsageError."""
    if not _MODEL.fullmatch(name) or ".." in name:
        raise UsageError(
            f"{name!r} is not a model name: use lower-case letters, digits, '.', '_' and '-', "
            "at most 40, beginning with a letter or digit"
        )
    return name


def check_person(name: str) -> str:
    """Return ``name`` if it is a valid name of a person at the desk, else raise UsageError."""
    if not _PERSON.fullmatch(name) or ".." in name:
        raise UsageError(
            f"{name!r} is not a name for a person: use lower-case letters, digits, '.', '_', '@' "
            "and '-', at most 80, beginning with a letter or digit"
        )
    return name


def is_form(name: str) -> bool:
    """Whether this is a valid name of a form."""
    return _FORM.fullmatch(name) is not None and ".." not in name


def is_sha256(digest: str) -> bool:
    """Whether this is a SHA-256 in lower-case hexadecimal."""
    return _SHA256.fullmatch(digest) is not None


def check_sha256(digest: str) -> str:
    """Return ``digest`` if it is a SHA-256 in lower-case hexadecimal, else raise UsageError."""
    if not is_sha256(digest):
        raise UsageError(f"{digest!r} is not a SHA-256 digest of 64 hexadecimal digits")
    return digest
