"""The queue: chunks on their way to workers, through Celery and Redis.

Of each job only a bounded window of chunks is in Redis at a time. ``offer`` says which chunks
exist, ``feed`` sends as many as the window allows, ``complete`` takes out one that is done. All
that Redis holds is a hint: the store alone is the truth, and ``inkmill.lifecycle.reconcile``
rebuilds the hints from it.

`Queue` is the face; each of its subjects is a class of its own: ``window`` (backlog and chunks in
flight), ``sending`` (messages), ``attempts``, ``progress``, ``workers`` (who is alive), ``speeds``
(how fast engines read), ``leases`` (which task of a review is in whose hands) and ``aside`` (what
is not ours). ``deliveries`` keeps the messages that workers hold; ``channel``, the transport of
workers and trainers, calls it. Producers, workers and the desk may use it; the engine may not.
tests/fakes.py has the same queue over an in-memory Redis, and tests/contracts.py holds both to one
contract.
"""

from inkmill.backends.queue.aside import Aside
from inkmill.backends.queue.attempts import Attempts, Begun
from inkmill.backends.queue.leases import Leases
from inkmill.backends.queue.progress import JobProgress, Progress
from inkmill.backends.queue.sending import Sending
from inkmill.backends.queue.speeds import Speeds
from inkmill.backends.queue.workers import WORKER_SECONDS


class Queue(Sending, Attempts, JobProgress, Speeds, Leases, Aside):
    """One connection to Redis for all that Inkmill keeps there."""


__all__ = ["WORKER_SECONDS", "Begun", "Progress", "Queue"]
