"""The producer's room: images become a job, and a job becomes a table.

submit -> inputs -> pack -> upload -> (queue) ... status, wait -> export
"""

from inkmill.producer.connection import Connection, connect
from inkmill.producer.control import cancel, delete, resume
from inkmill.producer.export import export, results
from inkmill.producer.sending import Sending
from inkmill.producer.status import JobStatus, jobs, status, wait
from inkmill.producer.submit import submit

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
