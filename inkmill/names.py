"""Keys of objects and of Redis, queue names and identifiers, each defined once.

Object keys are built only from validated parts, so that no input can leave its job's folder. Two
kinds live elsewhere: the files of a training run (`inkmill.trainer.checkpoints`), and the lists
that kombu keeps of delivered messages (`inkmill.backends.broker`).
"""

from __future__ import annotations

import re

from inkmill.errors import UsageError

# --- identifiers -----------------------------------------------------------------------------

_JOB = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_PERSON = re.compile(r"[a-z0-9][a-z0-9._@-]{0,79}")
_FORM = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
_SUBMIT = re.compile(r"[0-9a-f]{16}")
_TRAINING = re.compile(r"[0-9]{13}-[0-9a-f]{8}")
_DRAFT = re.compile(r"[0-9a-f]{16}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Ends of keys that carry a chunk's number, and that of an attempt at it.
_NUMBERED = re.compile(r"([0-9]{5,8})\.[a-z]+")
_ATTEMPT = re.compile(r"([0-9]{5,8})-([0-9]{3,6})\.json")
_TASK = re.compile(r"([0-9]{5,8})-([0-9]{6,9})\.json")


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


def is_sha256(digest: str) -> bool:
    """Whether this is a SHA-256 in lower-case hexadecimal."""
    return _SHA256.fullmatch(digest) is not None


def check_sha256(digest: str) -> str:
    """Return ``digest`` if it is a SHA-256 in lower-case hexadecimal, else raise UsageError."""
    if not is_sha256(digest):
        raise UsageError(f"{digest!r} is not a SHA-256 digest of 64 hexadecimal digits")
    return digest


# --- object storage --------------------------------------------------------------------------

OPEN = "open/"
JOBS = "jobs/"
NAMES = "names/"
MODELS = "models/"
RUNS = "runs/"
WATCHES = "watches/"
EXPIRY = "expiry/"
ACCEPTANCE = "acceptance/"
FORMS = "forms/"
DESK = "desk/"
DRAFTS = f"{DESK}drafts/"


#: Bytes of a record (JSON, and markers), and of any other object of Inkmill's.
_MOST_RECORD, _MOST_OBJECT = 256 * 2**20, 4 * 2**30


def most_bytes(key: str) -> int:
    """What the object of a key may hold at most: a larger one is not read into memory."""
    is_record = key.endswith(".json") or key.startswith((OPEN, EXPIRY))
    return _MOST_RECORD if is_record else _MOST_OBJECT


def open_marker(job: str) -> str:
    """Marker that exists while the job runs: what a reconciler lists."""
    return f"{OPEN}{check_job(job)}"


def expiry_marker(day: str, job: str) -> str:
    """Marker of a finished job that is to be deleted after ``day`` (YYYY-MM-DD)."""
    return f"{EXPIRY}{day}/{check_job(job)}"


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


def desk_people() -> str:
    return f"{DESK}people/"


def desk_person(name: str) -> str:
    """A person who may sign in at the desk: role, and the hash of the password."""
    return f"{desk_people()}{check_person(name)}.json"


def desk_person_of(key: str) -> str:
    """The person whose record has this key."""
    return check_person(key.removeprefix(desk_people()).removesuffix(".json"))


def desk_sessions() -> str:
    return f"{DESK}sessions/"


def desk_session(digest: str) -> str:
    """A session, named by the digest of its token."""
    return f"{desk_sessions()}{check_sha256(digest)}.json"


def desk_link() -> str:
    """The digest of the one-time link by which the first administrator signs in."""
    return f"{DESK}link.json"


def desk_submits() -> str:
    return f"{DESK}submits/"


def desk_submit(submit: str) -> str:
    """Folder of what was handed in at the desk and is not a job yet."""
    if not _SUBMIT.fullmatch(submit):
        raise UsageError(f"{submit!r} is not the id of a submit at the desk: 16 hexadecimal digits")
    return f"{desk_submits()}{submit}/"


def desk_submit_record(submit: str) -> str:
    return f"{desk_submit(submit)}submit.json"


def desk_submit_files(submit: str) -> str:
    return f"{desk_submit(submit)}files/"


def desk_submit_file(submit: str, digest: str) -> str:
    """A file that was dropped on the desk; ``digest`` is that of its name."""
    return f"{desk_submit_files(submit)}{check_sha256(digest)}"


def desk_trainings() -> str:
    return f"{DESK}trainings/"


def desk_training(training: str) -> str:
    """A training that was asked for at the desk, and what came of it."""
    if not _TRAINING.fullmatch(training):
        raise UsageError(
            f"{training!r} is not the id of a training: 13 digits, a hyphen, and 8 more digits"
        )
    return f"{desk_trainings()}{training}.json"


def desk_training_of(key: str) -> str:
    """The training whose record has this key."""
    return key.removeprefix(desk_trainings()).removesuffix(".json")


def desk_trail(day: str) -> str:
    """What people did at the desk on a day (YYYY-MM-DD), where it is about no job."""
    if not _DAY.fullmatch(day):
        raise UsageError(f"{day!r} is not a day: write YYYY-MM-DD")
    return f"{DESK}trail/{day}/"


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


def acceptance(form_hash: str, version: str, precision: str) -> str:
    """What a form's labels say of a model in a precision: thresholds, or that there are none."""
    if not re.fullmatch(r"[a-z0-9]{1,20}(-[a-z0-9]{1,20})?", precision):
        raise UsageError(f"{precision!r} is not a precision")
    return f"{ACCEPTANCE}{check_sha256(form_hash)}/{check_sha256(version)}-{precision}.json"


def acceptances(form_hash: str) -> str:
    """Folder of what is known of a form's thresholds, for every model and precision."""
    return f"{ACCEPTANCE}{check_sha256(form_hash)}/"


def comparison(form_hash: str, old: str, new: str) -> str:
    """What changed when pages of a form were read by another model."""
    digests = f"{check_sha256(old)}-{check_sha256(new)}"
    return f"{ACCEPTANCE}{check_sha256(form_hash)}/compared/{digests}.json"


def is_form(name: str) -> bool:
    """Whether this is a valid name of a form."""
    return _FORM.fullmatch(name) is not None and ".." not in name


def saved_form(name: str) -> str:
    """A template that was saved at the desk, as YAML."""
    if not is_form(name):
        raise UsageError(
            f"{name!r} is not a form's name: use lower-case letters, digits, '.', '_' and '-', "
            "at most 60, beginning with a letter or digit"
        )
    return f"{FORMS}{name}.yaml"


def draft_root(draft: str) -> str:
    """Folder of a template that is being made at the desk."""
    if not _DRAFT.fullmatch(draft):
        raise UsageError(f"{draft!r} is not a draft: its id has 16 hexadecimal digits")
    return f"{DRAFTS}{draft}/"


def draft_record(draft: str) -> str:
    return f"{draft_root(draft)}draft.json"


def draft_picture(draft: str, digest: str) -> str:
    """A picture of a draft's page, blank or scan, named by its content."""
    return f"{draft_root(draft)}pictures/{check_sha256(digest)}.png"


def number_of(key: str) -> int:
    """The number in the key of a chunk, a result or a batch. Raises ValueError for other keys."""
    found = _NUMBERED.fullmatch(key.rsplit("/", 1)[1])
    if found is None:
        raise ValueError(f"{key!r} is not numbered")
    return int(found[1])


def job_of(open_key: str) -> str:
    """The job that an open marker stands for."""
    return check_job(open_key.removeprefix(OPEN))


def watch(name: str) -> str:
    """The batches that a watch of a folder has claimed."""
    return f"{WATCHES}{check_job(name)}/"


def watch_batch(name: str, number: int) -> str:
    return f"{watch(name)}{number:08d}.json"


def model_root(name: str) -> str:
    return f"{MODELS}{check_model(name)}/"


def model_pointer(name: str) -> str:
    return f"{model_root(name)}latest.json"


def model_version(name: str, version: str) -> str:
    return f"{model_root(name)}{check_sha256(version)}/"


def model_weights(name: str, version: str) -> str:
    return f"{model_version(name, version)}weights.safetensors"


def model_golden(name: str, version: str) -> str:
    """Crops with their expected probabilities: what a loaded model is checked against."""
    return f"{model_version(name, version)}golden.safetensors"


def model_manifest(name: str, version: str) -> str:
    return f"{model_version(name, version)}manifest.json"


def run_root(run: str) -> str:
    """A training run's checkpoints."""
    return f"{RUNS}{check_job(run)}/"


# --- queue -----------------------------------------------------------------------------------

PRIORITIES = ("high", "normal", "low")
TASK = "inkmill.chunk"


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


def task_id(job: str, number: int) -> str:
    """One id for a chunk however often it is sent, so that copies are recognised."""
    return f"{job}:{number}"


# --- Redis keys besides the queues: hints only, the store can rebuild each ---------------------

SWEEP_LOCK = "inkmill:sweep"
EXPIRY_LOCK = "inkmill:expiry"
WORKERS = "inkmill:workers"
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
