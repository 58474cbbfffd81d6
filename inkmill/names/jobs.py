"""Keys of jobs in the bucket: their folders, markers and names; and of watches, which make jobs."""

from __future__ import annotations

import re

from inkmill.names.identifiers import check_job, check_sha256

#: Ends of keys that carry a chunk's number, and that of an attempt at it.
_NUMBERED = re.compile(r"([0-9]{5,8})\.[a-z]+")
_ATTEMPT = re.compile(r"([0-9]{5,8})-([0-9]{3,6})\.json")
OPEN = "open/"
JOBS = "jobs/"
NAMES = "names/"
EXPIRY = "expiry/"
OUTBOX = "outbox/"


def open_marker(job: str) -> str:
    """Marker that exists while the job runs: what a reconciler lists."""
    return f"{OPEN}{check_job(job)}"


def expiry_marker(day: str, job: str) -> str:
    """Marker of a finished job that is to be deleted after ``day`` (YYYY-MM-DD)."""
    return f"{EXPIRY}{day}/{check_job(job)}"


def outbox(job: str) -> str:
    """A notice that the job has ended, until its receiver took it."""
    return f"{OUTBOX}{check_job(job)}"


def name_pointer(name: str) -> str:
    """Which jobs a name points to: the id of each of its revisions."""
    return f"{NAMES}{check_job(name)}.json"


def job_root(job: str) -> str:
    return f"{JOBS}{check_job(job)}/"


def job_record(job: str) -> str:
    return f"{job_root(job)}job.json"


def job_summary(job: str) -> str:
    """Written once, when every chunk has its result."""
    return f"{job_root(job)}summary.json"


def settled(job: str) -> str:
    """The counts of a finished job's rows as they hold now, and what they rest on."""
    return f"{job_root(job)}settled.json"


def cancel_marker(job: str) -> str:
    return f"{job_root(job)}cancelled.json"


def purged(job: str) -> str:
    """Which kinds of a job's objects were deleted on purpose, and when."""
    return f"{job_root(job)}purged.json"


def chunks(job: str) -> str:
    return f"{job_root(job)}chunks/"


def chunk(job: str, number: int) -> str:
    return f"{chunks(job)}{number:05d}.parquet"


def results(job: str) -> str:
    return f"{job_root(job)}results/"


def result(job: str, number: int) -> str:
    return f"{results(job)}{number:05d}.parquet"


def images(job: str) -> str:
    return f"{job_root(job)}images/"


def image(job: str, digest: str) -> str:
    """A file of several pages, stored once and named by its content."""
    return f"{images(job)}{check_sha256(digest)}"


def pictures(job: str) -> str:
    return f"{job_root(job)}pictures/"


def picture(job: str, item: int) -> str:
    """Small JPEG of a page that could not be located: the evidence for its row."""
    return f"{pictures(job)}{item:08d}.jpg"


def fixes(job: str) -> str:
    """Pages that were read again with corners given by hand: their rows count."""
    return f"{job_root(job)}fixes/"


def fix(job: str, item: int) -> str:
    return f"{fixes(job)}{item:08d}.parquet"


def attempts(job: str) -> str:
    return f"{job_root(job)}attempts/"


def attempt(job: str, number: int, count: int) -> str:
    """One repeated attempt at a chunk; the first leaves no object."""
    return f"{attempts(job)}{number:05d}-{count:03d}.json"


def attempts_of(job: str, number: int) -> str:
    """Prefix of a chunk's attempts."""
    return f"{attempts(job)}{number:05d}-"


def attempt_of(key: str) -> tuple[int, int] | None:
    """The chunk and the count in the key of an attempt; None for a suspect's, or any other."""
    found = _ATTEMPT.fullmatch(key.rsplit("/", 1)[1])
    return (int(found[1]), int(found[2])) if found else None


def suspect(job: str, number: int) -> str:
    """Which item of a suspected chunk was in hand last, and what is known of the others."""
    return f"{attempts(job)}{number:05d}-suspect.json"


def quarantine(job: str) -> str:
    return f"{job_root(job)}quarantine/"


def quarantined(job: str, number: int) -> str:
    """The evidence of what was given up in a chunk: items, codes and causes."""
    return f"{quarantine(job)}{number:05d}.json"


def events(job: str) -> str:
    return f"{job_root(job)}events/"


def event_batch(job: str, digest: str) -> str:
    """What one person typed in one go, named by its content: the same twice is stored once."""
    return f"{events(job)}{check_sha256(digest)}.json"


def audits(job: str) -> str:
    return f"{job_root(job)}audits/"


def audit_sample(job: str, digest: str) -> str:
    """The fields of one blind audit, with the values that were accepted."""
    return f"{audits(job)}{check_sha256(digest)}.json"


def report(job: str) -> str:
    """The report that somebody had made at the desk."""
    return f"{job_root(job)}report.html"


def trail(job: str) -> str:
    """Who looked at, changed and exported the job at the desk."""
    return f"{job_root(job)}trail/"


def number_of(key: str) -> int:
    """The number in the key of a chunk, a result or a batch. Raises ValueError for other keys."""
    found = _NUMBERED.fullmatch(key.rsplit("/", 1)[1])
    if found is None:
        raise ValueError(f"{key!r} is not numbered")
    return int(found[1])


def job_of(open_key: str) -> str:
    """The job that an open marker stands for."""
    return check_job(open_key.removeprefix(OPEN))


WATCHES = "watches/"


def watch(name: str) -> str:
    """The batches that a watch of a folder has claimed."""
    return f"{WATCHES}{check_job(name)}/"


def watch_batch(name: str, number: int) -> str:
    return f"{watch(name)}{number:08d}.json"
