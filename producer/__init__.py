"""The producer: images become a job, and a job becomes a table.

    submission   submit: options, the job's record, revisions
    inputs       files, folders, lists and S3 objects; packed into chunks and uploaded
    watch        submits every file that arrives in a folder
    status       state of jobs, waiting
    control      resume, cancel, delete; quarantine: items given up; purging: a part of a job
    tables       rows, settled, as CSV, JSON lines, Parquet, XLSX

The names below are what programs use; `inkmill` has the usual ones. Every function takes
``settings`` or a ``connection``. This package needs neither TensorFlow nor OpenCV, and importing it
loads no library of the servers (tests/unit/test_imports.py).
"""

from inkmill.producer.connection import Connection, connect
from inkmill.producer.control import cancel, delete, resume
from inkmill.producer.purging import purge
from inkmill.producer.status import JobStatus, jobs, status
from inkmill.producer.submission.options import SubmitOptions
from inkmill.producer.submission.progress import Sending
from inkmill.producer.submission.submit import submit
from inkmill.producer.tables.export import export, results
from inkmill.producer.waiting import wait

__all__ = [
    "Connection",
    "JobStatus",
    "Sending",
    "SubmitOptions",
    "cancel",
    "connect",
    "delete",
    "export",
    "jobs",
    "purge",
    "results",
    "resume",
    "status",
    "submit",
    "wait",
]
