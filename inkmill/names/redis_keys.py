"""Names of queues, and keys of Redis besides them: hints only, the store can rebuild each."""

from __future__ import annotations

from inkmill.errors import UsageError

PRIORITIES = ("high", "normal", "low")
TASK = "inkmill.chunk"
#: The Celery queue of submitted trainings, and the task of its messages.
TRAIN = TRAIN_TASK = "inkmill.train"


def queue(priority: str, single: bool = False) -> str:
    """The Celery queue of one priority; ``single`` is the one for jobs of a single chunk.

    Those would else wait behind all chunks that large jobs have in flight.
    """
    if priority not in PRIORITIES:
        raise UsageError(f"{priority!r} is not a priority: use one of {', '.join(PRIORITIES)}")
    return f"inkmill.{priority}.single" if single else f"inkmill.{priority}"


def queues(priority: str) -> tuple[str, str]:
    """Both queues of one priority, that of single chunks first."""
    return queue(priority, single=True), queue(priority)


def all_queues() -> tuple[str, ...]:
    """Every queue: those of chunks by priority, and that of trainings."""
    return (*(each for priority in PRIORITIES for each in queues(priority)), TRAIN)


def task_of(queue_name: str) -> str:
    """The task that the messages of a queue are for."""
    return TRAIN_TASK if queue_name == TRAIN else TASK


def task_id(job: str, number: int) -> str:
    """One id for a chunk however often it is sent, so that copies are recognised."""
    return f"{job}:{number}"


def kind_of_work(model: str, form_hash: str) -> str:
    """What an engine's speed depends on, besides its host: a model and a template ("" for digit
    images)."""
    return f"{model}/{form_hash[:16] or 'digits'}"


SWEEP_LOCK = "inkmill:sweep"
EXPIRY_LOCK = "inkmill:expiry"
OUTBOX_LOCK = "inkmill:outbox"
WORKERS = "inkmill:workers"
#: Hash: kind of work -> items per second of one engine.
SPEEDS = "inkmill:speeds"
#: Queue entries that are no messages of ours, the newest first, and how many there were.
ASIDE = "inkmill:aside"
ASIDE_COUNT = "inkmill:aside:count"
#: What a key of ours that held another type is renamed to, with its name at the end.
ASIDE_KEYS = "inkmill:aside:of:"
#: Workers that hold messages and are not heard, and since when.
SILENT = "inkmill:silent"


def progress(job: str) -> str:
    """Hash: chunks and items done, counts by status and code."""
    return f"inkmill:job:{job}:progress"


def sent(job: str) -> str:
    """Sorted set: chunk number -> time of the last send, for chunks in flight."""
    return f"inkmill:job:{job}:sent"


def tries(job: str) -> str:
    """Hash: chunk number -> attempts that were begun and neither finished nor given back."""
    return f"inkmill:job:{job}:tries"


def backlog(job: str) -> str:
    """Sorted set: chunk numbers that exist in the store and were not sent yet."""
    return f"inkmill:job:{job}:backlog"


def counted(job: str) -> str:
    """Bitmap: chunks whose rows are in ``progress``, so that none is counted twice."""
    return f"inkmill:job:{job}:counted"


def ended(job: str) -> str:
    """List with one entry for some seconds after the job's end: who waits is woken by it."""
    return f"inkmill:job:{job}:ended"


def desk_report(job: str) -> str:
    """Lock with an expiry: a server of the desk is making the job's report."""
    return f"inkmill:desk:report:{job}"


#: Text with an expiry: the trainer that carries out what the desk asks for.
DESK_TRAINER = "inkmill:desk:trainer"


def desk_tries(whose: str) -> str:
    """Counter with an expiry: failed tries to sign in at the desk, by name or by address."""
    return f"inkmill:desk:tries:{whose}"


def leases(job: str) -> str:
    """Hash: task of a review -> who works on it, and until when; expires by itself."""
    return f"inkmill:job:{job}:leases"


def hints(job: str) -> tuple[str, ...]:
    """Everything that Redis keeps of a job besides its messages."""
    return backlog(job), sent(job), progress(job), tries(job), counted(job)
