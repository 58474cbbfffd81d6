"""What engines give up at their start, since they decode strangers' files; and so do predictor
processes, which get crops from engines.

They run as the worker's user: docs/explanation/security.md says what they could still reach.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
import sys
from pathlib import Path

from inkmill.confinement import filter_system_calls, gain_no_privileges

#: An engine writes its log and a cache of some megabytes; the file of the log may be others' too.
_MOST_FILE_BYTES = 16 * 2**30


def confine() -> None:
    """What code of a stranger's file, that took the engine over, could not do any more.

    There is no limit for the number of processes, which counts all of the user's.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most == resource.RLIM_INFINITY or most > _MOST_FILE_BYTES:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE_BYTES, _MOST_FILE_BYTES))
    gain_no_privileges()
    filter_system_calls()


#: From linux/prctl.h.
_PR_SET_PDEATHSIG = 1


def die_before_and_with_the_worker() -> None:
    """On Linux: a host out of memory kills the engine before its worker, which then knows the item
    in hand; and an engine that hangs does not outlive a worker that was killed."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
