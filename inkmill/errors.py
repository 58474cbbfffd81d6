"""The errors that Inkmill raises, in one small tree.

    InkmillError
    ├── UsageError            the request cannot be carried out as given          exit 2
    │   ├── SettingsError     a setting is missing or wrong
    │   ├── FormError         a form template is wrong (file, line, field)
    │   ├── JobMismatch       the name is taken by a job with other inputs or options
    │   ├── JobBusy           another submit is claiming that job name right now
    │   ├── JobStopped        the job was cancelled or deleted while it was being uploaded
    │   └── NotFound          no such job, chunk, model or version
    ├── NotFinished           the job still has items without a row               exit 4
    ├── Unreachable           Redis or S3 does not answer                         exit 5
    ├── StoreDenied           S3 answers, but refuses: credentials, bucket        exit 5
    ├── Corrupt               an object whose bytes do not match its checksum
    │   └── Newer             an undamaged object that a newer Inkmill wrote
    ├── PreconditionFailed    a conditional write lost: another process was first
    ├── BadMessage            a queue entry that is not a valid message
    ├── BadHint               a hint in Redis that holds something else than it should
    ├── ModelError            a model that must not be used (digest, shapes, check)
    ├── ShuttingDown          the worker is stopping; the chunk goes back to the queue
    ├── CannotStart           the host refuses another process: files, memory, processes
    └── ItemError             one item cannot be read: becomes an error row

Every message says what happened, to which input, and what to do. The library raises; only the
command line turns errors into exit codes and short messages.
"""

from __future__ import annotations

from inkmill.codes import Code


class InkmillError(Exception):
    """Base of all errors that Inkmill raises on purpose."""

    exit_code = 1


class UsageError(InkmillError):
    """The request cannot be carried out as given."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is missing or has a value that cannot be used."""


class FormError(UsageError):
    """A form template is wrong; the message names file, line and field."""


class JobMismatch(UsageError):
    """The job's name is taken by other inputs, form or options; the message shows which."""


class JobBusy(UsageError):
    """Another submit is claiming this job name right now; retry in a moment."""


class JobStopped(UsageError):
    """The job was cancelled or deleted while it was being uploaded; orphaned objects are
    removed."""


class NotFound(UsageError):
    """There is no such job, chunk, model or version."""


class NotFinished(InkmillError):
    """The job still has items without a row."""

    exit_code = 4


class Unreachable(InkmillError):
    """Redis or the object store does not answer; retrying later may help."""

    exit_code = 5


class StoreDenied(InkmillError):
    """The object store answers but refuses; retrying helps only once the cause is removed."""

    exit_code = 5


class Corrupt(InkmillError):
    """An object's bytes do not match the checksum stored with them; carries the bytes."""

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class Newer(Corrupt):
    """An object was written by a newer Inkmill: this program must be updated to read it."""


class PreconditionFailed(InkmillError):
    """A conditional write did not find the expected state; nothing was written."""


class BadMessage(InkmillError):
    """A queue entry that is not a valid message; carries the raw data."""

    def __init__(self, message: str, raw: bytes | str) -> None:
        super().__init__(message)
        self.raw = raw


class BadHint(InkmillError):
    """A hint in Redis holds something else than it should: dropped, and rebuilt from the store."""


class ModelError(InkmillError):
    """A model that must not be used: wrong digest, names, shapes or readings."""


class ShuttingDown(InkmillError):
    """The worker is stopping: its chunks go back to the queue."""


class CannotStart(InkmillError):
    """The host refuses to start another process; the message says which limit to raise."""


class ItemError(InkmillError):
    """One item cannot be read; it becomes a row of status error with this code and message."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
