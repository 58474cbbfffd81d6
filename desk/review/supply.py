"""Where tasks come from: a new round when the old ones are done, an audit when it is asked for."""

from __future__ import annotations

import threading
import time

from inkmill import names
from inkmill.desk.review.choosing import Choice
from inkmill.desk.review.known import Known
from inkmill.desk.review.rounds import make_audit, make_round
from inkmill.desk.review.tasks import AUDIT, load_options
from inkmill.errors import PreconditionFailed
from inkmill.people import audit
from inkmill.producer.connection import Connection
from inkmill.producer.tables import row_counts
from inkmill.records.events import Event, Place
from inkmill.records.jobs import Job

#: A pass that took longer than this and found nothing is not repeated before so many times what it
#: took have passed, or some seconds.
_QUICK_SECONDS, _SPARING, _LONGEST_SECONDS = 0.5, 10.0, 30.0


class Supply:
    """Makes the rounds of one job."""

    def __init__(self, connection: Connection, record: Job, known: Known) -> None:
        self._connection = connection
        self._record = record
        self._known = known
        self._empty = ""
        self._rest = float("-inf")
        self._lock = threading.Lock()

    def top_up(self) -> int:
        """Make a round of what is doubtful and in no open task; returns how many fields it has.

        Costs a pass over all rows, and nothing where nothing has changed since one found none, or
        where one that took long found none just now: towards the end of a large job, each answer
        of somebody would otherwise cause such a pass for everybody who waits.
        """
        store, job = self._connection.store, self._record.job
        with self._lock:
            began = time.monotonic()
            if began < self._rest:
                return 0
            basis = self._basis()
            if basis == self._empty:
                return 0
            number = len(self._known.rounds(fresh=0.0))
            verdicts = self._known.verdicts(fresh=0.0)
            choice = Choice(verdicts, self._known.flags(fresh=0.0), load_options(store, job))
            try:
                made = make_round(self._connection, self._record, choice, number, self._taken())
            except PreconditionFailed:
                self._known.rounds(fresh=0.0)  # another server made it
                return 0
            if made is None:
                self._empty, now = basis, time.monotonic()
                if now - began > _QUICK_SECONDS:
                    self._rest = now + min(_SPARING * (now - began), _LONGEST_SECONDS)
                return 0
            self._known.rounds(fresh=0.0)
            return sum(len(task.asked) for task in made.tasks)

    def start_audit(self, count: int) -> int:
        """Draw a sample of accepted fields and make a round of it; returns how many it has.

        Raises UsageError if there is no accepted field, PreconditionFailed if another server made a
        round at the same moment.
        """
        with self._lock:
            digest, sample, _ = audit.draw(self._connection, self._record, count)
            number = len(self._known.rounds(fresh=0.0))
            make_audit(self._connection, self._record, number, digest, sample.fields)
            self._known.rounds(fresh=0.0)
            return len(sample.fields)

    def audits(self) -> list[audit.AuditResult]:
        """What the audits of the job say by now, the newest first."""
        entered = [each for each in self._known.events() if each.source == AUDIT]
        found = []
        for each in reversed(self._known.rounds()):
            if each.sample:
                sample = audit.load_sample(self._connection, self._record, each.sample)
                places = {(one.item, one.field) for one in sample.fields}
                latest = {
                    event.place: event
                    for event in entered
                    if event.place in places and event.when >= sample.when
                }
                keyed: list[Event] = list(latest.values())
                found.append(audit.finding(self._record.label, keyed, sample.fields))
        return found

    def _basis(self) -> str:
        """A digest of all that a round depends on, but for a job that is still being read."""
        store, job = self._connection.store, self._record.job
        remarks = [entry.key for entry in store.list(names.review_remarks(job))]
        options = store.head(names.review_options(job)) or {}
        rows = row_counts.basis(store, self._record, 0.0)
        results = sum(1 for _ in store.list(names.results(job)))
        return f"{rows} {len(remarks)} {sorted(options.items())} {results}"

    def _taken(self) -> frozenset[Place]:
        """Fields that an open task asks about, as long as nobody has entered them otherwise."""
        done = self._known.done(fresh=0.0)
        return frozenset(
            asked.place
            for ref in self._known.tasks()
            if ref.place not in done
            for asked in ref.task.asked
        )
