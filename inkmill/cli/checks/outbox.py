"""Notices that jobs have ended, and that nobody took yet: which, since when, and why."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from inkmill.cli.checks import CheckResult
from inkmill.errors import Corrupt, NotFound
from inkmill.lifecycle import outbox

if TYPE_CHECKING:
    from inkmill.backends.store import Store

#: Notices that are looked at: one request for each.
_MOST = 1000
#: By then four attempts have failed; before, it may be a receiver that restarts (seconds).
_LATE = 1800.0
#: Notices that are named one by one.
_NAMED = 3


def check_outbox(store: Store) -> Iterator[CheckResult]:
    """Which notices wait; late ones are findings. Raises Unreachable or StoreDenied."""
    waiting, damaged = list[tuple[float, str, str]](), list[str]()
    for job in islice(outbox.pending(store), _MOST):
        try:
            found = outbox.read(store, job)
        except NotFound:
            continue  # taken meanwhile
        except Corrupt as error:
            damaged.append(str(error))
            continue
        waiting.append((found.since, job, found.error or "not tried yet"))
    late = sorted(each for each in waiting if time.time() - each[0] > _LATE)
    seen = f"{len(waiting)} notices are waiting" if waiting else "no notices are waiting"
    if late:
        seen += f", {len(late)} of them for more than half an hour"
    yield CheckResult("outbox", not late, seen)
    for since, job, why in late[:_NAMED]:
        hours = (time.time() - since) / 3600
        yield CheckResult(
            "outbox",
            False,
            f"job {job} ended {hours:,.1f} h ago: {why}",
            "repair the receiver, or correct the workers' INKMILL_ON_DONE_ORIGINS or "
            "INKMILL_ON_DONE_COMMAND; a notice is dropped after three days",
        )
    for each in damaged[:_NAMED]:
        yield CheckResult("outbox", False, each, "start a worker: it rewrites damaged notices")
