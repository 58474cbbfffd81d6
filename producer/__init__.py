"""The producer's room: images become a job, and a job becomes a table.

submit -> inputs -> pack -> upload -> (queue) ... status, wait -> export
"""

from inkmill.producer.connection import Connection, connect
from inkmill.producer.control import cancel, delete, resume
from inkmill.producer.status import JobStatus, jobs, status, wait
from inkmill.producer.submission.progress import Sending
from inkmill.producer.submission.submit import submit
from inkmill.producer.tables.export import export, results

__all__ = [
    "Connection",
    "JobStatus",
    "Sending",
    "cancel",
    "connect",
    "delete",
    "export",
    "jobs",
    "results",
    "resume",
    "status",
    "submit",
    "wait",
]
