"""Looking again and again, until told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from inkmill.errors import StoreDenied, Unreachable, UsageError
from inkmill.producer.watch.watcher import Watch

log = logging.getLogger(__name__)


def watch(
    watched: Watch, interval: float, stop: Callable[[], bool], submitted: Callable[[str], None]
) -> None:
    """Look every ``interval`` seconds until ``stop``, calling ``submitted`` with each job's name.

    Outages of the servers are waited out; so is a table or list that is being written.
    """
    due = 0.0
    while not stop():
        if time.monotonic() < due:
            time.sleep(0.1)
            continue
        due = time.monotonic() + interval
        try:
            while (job := watched.look()) is not None:
                submitted(job)
        except (Unreachable, StoreDenied, UsageError) as error:
            log.warning("%s; trying again in %.0f s", error, interval)
