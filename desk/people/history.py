"""Who had to do with a job: what people did at the desk, and which fields they entered.

Entries come from lists as well as from the desk. Their values are not part of the history: who is
to see that somebody corrected a field need not see with what.
"""

from __future__ import annotations

from inkmill import names
from inkmill.backends import event_log
from inkmill.backends.store import Store
from inkmill.desk.people.trail import Deed, Trail
from inkmill.records.events import AUDIT, LATE, WITHDRAWN, Event

#: What a history calls the sources of entries.
_ACTIONS = {AUDIT: "keyed for audit", LATE: "entered too late", WITHDRAWN: "entry withdrawn"}
_MOST = 10_000_000


def history_of(store: Store, job: str) -> list[Deed]:
    """Everything that is known about the job with this id, the oldest first."""
    deeds = Trail(store).of_job(job, _MOST)
    deeds += [_entry(event, job) for event in event_log.load(store, job)]
    return sorted(deeds, key=lambda deed: deed.time)


def history_of_day(store: Store, day: str) -> list[Deed]:
    """What people did on a day (YYYY-MM-DD) that is about no job, the oldest first."""
    names.desk_trail(day)  # raises UsageError for what is no day
    return sorted(Trail(store).of_day(day, _MOST), key=lambda deed: deed.time)


def _entry(event: Event, job: str) -> Deed:
    action = _ACTIONS.get(event.source, "entered")
    return Deed(event.when, event.who, action, f"{event.field} of item {event.item}", job)
