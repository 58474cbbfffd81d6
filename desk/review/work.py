"""A job's review at work: tasks go out to people, their answers come in.

    next      the next task for a person: leased, with what is left of it
    answer    what was typed for a field: an event, before the next field is shown
    confirm   a screen of a group: all that it settles, in one event object

Everything here may be lost at any time: rounds, events and marks of what is done are in the bucket,
leases are hints. The first answer to a task's field is stored and no other
(`inkmill.backends.event_log.answer`): one that comes later, from somebody whose lease ran out, is
kept as an event of the source ``late``, which counts for nothing, and its author is told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inkmill.backends import event_log
from inkmill.backends.ttl_cache import TTLCache
from inkmill.desk.review.behind import Behind
from inkmill.desk.review.known import FRESH_SECONDS, Known
from inkmill.desk.review.supply import Supply
from inkmill.desk.review.tasks import (
    AUDIT,
    COMMENT,
    DECIDE,
    FLAGGED,
    SKIPPED,
    Asked,
    Options,
    Remark,
    TaskRef,
    keep_options,
    load_options,
)
from inkmill.desk.web.metrics import FIELDS, LEASES
from inkmill.errors import NotFound, Unreachable, UsageError
from inkmill.people.review import form_job
from inkmill.producer.connection import Connection
from inkmill.records import events
from inkmill.records.events import Event, Place

log = logging.getLogger(__name__)

#: A lease runs out so many seconds after its holder was last heard of; a page that is typed on
#: renews it much more often.
LEASE_SECONDS = 120.0
#: Tasks that one request offers to Redis.
_OFFERED = 200
#: Tasks behind the one that is given, whose pictures may be cut meanwhile.
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works: a person, in one tab of a browser."""

    who: str
    tab: str

    def __str__(self) -> str:
        return f"{self.who}/{self.tab}"


@dataclass(frozen=True, slots=True)
class Given:
    """A task in somebody's hands.

    ``left`` are those of its fields that still need an answer; ``waiting`` counts the tasks that
    the person may have, ``after`` are the first of those behind this one.
    """

    ref: TaskRef
    left: tuple[Asked, ...]
    waiting: int = 1
    after: tuple[TaskRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an answer.

    ``late`` says who had settled the field (or the screen) before, "" for nobody; ``left`` are the
    fields of the task that are still to be answered.
    """

    value: str
    left: tuple[Asked, ...] = ()
    late: str = ""


class JobReview:
    """The review of one job, in one server process. All methods may be called from any thread."""

    def __init__(self, connection: Connection, job: str) -> None:
        self._queue, self._store = connection.queue, connection.store
        self.connection = connection
        self.record = form_job(connection, job)
        self.known = Known(connection.store, self.record.job)
        self.behind = Behind(connection, self.record, self.known)
        self.supply = Supply(connection, self.record, self.known)
        self._options = TTLCache(FRESH_SECONDS, lambda job: load_options(self._store, job))

    @property
    def options(self) -> Options:
        """How the job is reviewed, as it was stored some seconds ago or by this process."""
        return self._options.get(self.record.job)

    def keep_options(self, options: Options, etag: str) -> None:
        """Change how the job is reviewed, unless somebody did since the options of ``etag``.

        Raises UsageError for a value out of its bounds, PreconditionFailed.
        """
        keep_options(self._store, self.record.job, options, etag)
        self._options.tell(self.record.job, options)

    # --- out -----------------------------------------------------------------------------------

    def next(self, holder: Holder, kinds: Sequence[str]) -> Given | None:
        """The next task of these kinds; one that the tab holds already comes first.

        If none is left, a new round is made of what is doubtful now; None if nothing is. Raises
        Unreachable.
        """
        given = self._leased(holder, kinds, FRESH_SECONDS)
        if given is None:
            self.supply.top_up()
            given = self._leased(holder, kinds, 0.0)
        return given

    def waiting(
        self, who: str, kinds: Sequence[str], fresh: float = FRESH_SECONDS
    ) -> list[TaskRef]:
        """The tasks of these kinds that are not done, and that this person may have, in order."""
        done = self.known.done(fresh)
        return [
            ref
            for ref in self.known.tasks(fresh)
            if ref.task.kind in kinds and ref.place not in done and who not in ref.task.not_by
        ]

    def _leased(self, holder: Holder, kinds: Sequence[str], fresh: float) -> Given | None:
        refs = self.waiting(holder.who, kinds, fresh)
        begin = 0
        while offered := {ref.name: ref for ref in refs[begin : begin + _OFFERED]}:
            names = list(offered)
            while name := self._queue.lease(self.record.job, str(holder), LEASE_SECONDS, names):
                ref = offered[name]
                if left := self.behind.left(ref):
                    LEASES.labels(ref.task.kind).inc()
                    at = begin + list(offered).index(name) + 1
                    return Given(ref, left, len(refs), tuple(refs[at : at + _AHEAD]))
                self._finish(ref, holder)
                names.remove(name)
            begin += _OFFERED
        return None

    # --- in ------------------------------------------------------------------------------------

    def answer(
        self, ref: TaskRef, holder: Holder, place: Place, text: str, *, again: bool = False
    ) -> Answered:
        """Take what was typed for a field; ``again`` corrects what the same person typed before.

        Raises UsageError for text that is no value of the field: nothing is stored then.
        """
        asked = ref.asked(place)
        if asked is None:
            raise NotFound(f"task {ref.name} has no field {place[1]} of item {place[0]}")
        value = self.behind.value_of(ref, asked, text)
        event = _event(ref, asked, value, holder.who)
        if again:
            self._correct([event])
            return Answered(value, self.behind.left(ref))
        other = self._stored(ref, holder, f"{ref.name}/{place[0]}/{place[1]}", [event])
        left = self.behind.left(ref)
        if not left:
            self._finish(ref, holder)
        return Answered(value, left, other)

    def confirm(
        self, ref: TaskRef, holder: Holder, values: Mapping[Place, str], *, again: bool = False
    ) -> Answered:
        """Take a screen of a group: ``values`` has what is typed for each field that it settles.

        Fields that are left out stay in review, and are keyed by themselves in a later round.
        """
        made = []
        for asked in ref.task.asked:
            if asked.place in values:
                value = self.behind.value_of(ref, asked, values[asked.place])
                made.append(_event(ref, asked, value, holder.who))
        if len(made) < len(values):
            raise NotFound(f"task {ref.name} does not have all of these fields: reload the page")
        if again:
            self._correct(made)
            return Answered("")
        other = self._stored(ref, holder, ref.name, made) if made else ""
        for asked in ref.task.asked:
            if asked.place not in values:
                self._say(SKIPPED, asked.place, "", holder.who)
        self._finish(ref, holder)
        return Answered("", (), other)

    def flag(self, ref: TaskRef, holder: Holder, item: int, text: str) -> tuple[Asked, ...]:
        """A page that no value can be keyed from; returns what is left of the task."""
        if all(each.item != item for each in ref.task.asked):
            raise NotFound(f"task {ref.name} has no item {item}")
        self._say(FLAGGED, (item, ""), text, holder.who)
        left = self.behind.left(ref)
        if not left:
            self._finish(ref, holder)
        return left

    def comment(self, ref: TaskRef, holder: Holder, place: Place, text: str) -> None:
        """Store what somebody has to say of a field. Raises UsageError for nothing."""
        if ref.asked(place) is None:
            raise NotFound(f"task {ref.name} has no field {place[1]} of item {place[0]}")
        if not text:
            raise UsageError("the comment is empty: type one, or press Escape")
        self._say(COMMENT, place, text, holder.who)

    def _say(self, kind: str, place: Place, text: str, who: str) -> None:
        self.known.say(Remark(kind, place[0], place[1], text, who, time.time()))

    def _stored(self, ref: TaskRef, holder: Holder, task: str, made: Sequence[Event]) -> str:
        """Store an answer, unless somebody else was first: returns who, and keeps it as late."""
        other = self._held_by(ref, holder)
        if not other:
            stored = event_log.answer(self._store, self.record.job, task, made)
            self.known.add(stored, event_log.key_of_answer(self.record.job, task))
            if stored is not made:
                other = self._came_second(stored[0].who, holder.who, made)
        if other:
            late = [replace(event, source=events.LATE) for event in made]
            event_log.add(self._store, self.record.job, late)
            self.known.add(late)
        FIELDS.labels(ref.task.kind, "yes" if other else "no").inc(len(made))
        return other

    def _came_second(self, first: str, who: str, made: Sequence[Event]) -> str:
        """Who settled what was answered already; "" for the same person, whose answer got lost on
        its way or is corrected, and for an answer that was sent back since."""
        standing = self.known.verdicts_at([each.place for each in made], fresh=0.0)
        if standing and first != who:
            return first
        if standing:
            self._correct(made)
        else:
            event_log.add(self._store, self.record.job, made)
            self.known.add(made)
        return ""

    def _held_by(self, ref: TaskRef, holder: Holder) -> str:
        """Who else holds the task by now. Without Redis nobody knows, and the store decides."""
        try:
            found = self._queue.hold(self.record.job, str(holder), LEASE_SECONDS, ref.name)
        except Unreachable as error:
            log.warning("no lease could be looked at: %s", error)
            return ""
        return found.rpartition("/")[0]

    def _correct(self, made: Sequence[Event]) -> None:
        """Replace earlier entries of the same person. Raises UsageError where there is none."""
        entered = self.known.verdicts_at([each.place for each in made], fresh=0.0)
        for event in made:
            verdict = entered.get(event.place)
            if verdict is None or event.who not in verdict.entries:
                raise UsageError("only what you entered yourself can be corrected: reload the page")
            if verdict.entries[event.who] != event.value:
                event_log.add(self._store, self.record.job, [event])
                self.known.add([event])

    def _finish(self, ref: TaskRef, holder: Holder) -> None:
        self.known.mark_done(ref, holder.who)
        self.release(ref, holder)

    def renew(self, ref: TaskRef, holder: Holder) -> str:
        """Keep a task in somebody's hands; returns "", or who has it by now."""
        return self._held_by(ref, holder)

    def release(self, ref: TaskRef, holder: Holder) -> None:
        """Give a task back: somebody else may have it."""
        try:
            self._queue.release(self.record.job, str(holder), ref.name)
        except Unreachable as error:
            log.warning("a lease runs out by itself: %s", error)


def _event(ref: TaskRef, asked: Asked, value: str, who: str) -> Event:
    source = {AUDIT: events.AUDIT, DECIDE: events.DECIDED}.get(ref.task.kind, events.PAGE)
    return Event(*asked.place, value, asked.shown, who, time.time(), source)
