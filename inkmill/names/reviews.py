"""Keys of what the desk keeps of a job's review besides events."""

from __future__ import annotations

import re

from inkmill.names.identifiers import check_job, check_sha256
from inkmill.names.jobs import job_root

_TASK = re.compile(r"([0-9]{5,8})-([0-9]{6,9})\.json")


def review(job: str) -> str:
    """What the desk keeps of a job's review besides events."""
    return f"{job_root(job)}review/"


def review_options(job: str) -> str:
    """How a job is reviewed: second keying, masking, size of screens."""
    return f"{review(job)}options.json"


def review_rounds(job: str) -> str:
    return f"{review(job)}rounds/"


def review_round(job: str, number: int) -> str:
    """A list of tasks, written once."""
    return f"{review_rounds(job)}{number:05d}.json"


def review_rows(job: str, build: str, number: int) -> str:
    """The rows behind some tasks of a round, in a folder of whoever made the round."""
    return f"{review(job)}rows/{check_job(build)}/{number:05d}.parquet"


def review_done(job: str) -> str:
    return f"{review(job)}done/"


def review_task_done(job: str, number: int, task: int) -> str:
    """Marker of a task of a round that needs nothing more."""
    return f"{review_done(job)}{number:05d}-{task:06d}.json"


def review_task_of(key: str) -> tuple[int, int] | None:
    """The round and the task in the key of such a marker; None for any other key."""
    found = _TASK.fullmatch(key.rsplit("/", 1)[1])
    return (int(found[1]), int(found[2])) if found else None


def review_remarks(job: str) -> str:
    return f"{review(job)}remarks/"


def review_remark(job: str, digest: str) -> str:
    """What a person said of a page or field besides its value, named by its content."""
    return f"{review_remarks(job)}{check_sha256(digest)}.json"
