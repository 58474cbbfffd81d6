"""Starts child processes, and says why the host refuses to."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from inkmill.errors import CannotStart

_PROCESSES = (
    "raise the limit of processes (ulimit -u, TasksMax= in systemd, pids_limit of a container), or "
    "run fewer of them"
)
#: What helps, by what the system says; see fork(2), socketpair(2) and memfd_create(2).
_REMEDIES = {
    errno.EMFILE: (
        "raise the limit of open files of the process that starts it (ulimit -n, LimitNOFILE= in "
        "systemd, ulimits of a container)"
    ),
    errno.ENFILE: "raise the host's limit of open files (sysctl fs.file-max)",
    errno.ENOMEM: "add memory to the host or container, or run fewer processes",
    errno.EAGAIN: _PROCESSES,
}
_OTHERWISE = "the system's log (dmesg) may say more"


@contextmanager
def starting(what: str) -> Iterator[None]:
    """For a block that starts a process, and what it needs: sockets, shared memory, threads.

    ``what`` begins a sentence, such as "an engine". Raises CannotStart where the host refuses.
    """
    try:
        yield
    except FileNotFoundError as error:
        gone = error.filename or sys.executable
        why = f"{what} cannot be started ({error.strerror}): {gone} is gone, install it again"
        raise CannotStart(why) from error
    except OSError as error:
        raise _refused(what, error.errno, error.strerror or str(error)) from error
    except MemoryError as error:
        raise _refused(what, errno.ENOMEM, "out of memory") from error
    except RuntimeError as error:
        if "thread" not in str(error):  # threading: "can't start new thread"
            raise
        raise _refused(what, errno.EAGAIN, str(error)) from error


def _refused(what: str, number: int | None, why: str) -> CannotStart:
    remedy = _REMEDIES.get(number, _OTHERWISE) if number is not None else _OTHERWISE
    return CannotStart(f"{what} cannot be started ({why}): {remedy}")


def start_linked(
    module: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    options: Sequence[str] = (),
    passed_on: Sequence[int] = (),
    output: int | None = None,
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start ``module`` in another Python, with one end of a socket pair; returns the other end.

    The descriptor of its end comes before the ``arguments``; those of ``passed_on`` stay open there
    too. ``options`` are Python's own, such as -P, and ``output`` where its standard output goes, as
    of `subprocess.Popen`. It has no standard input.

    Raises OSError, and leaves nothing open.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        command = [sys.executable, *options, "-m", module, str(number), *arguments]
        try:
            process = subprocess.Popen(
                command,
                pass_fds=(number, *passed_on),
                stdin=subprocess.DEVNULL,
                stdout=output,
                env=dict(environment),
            )
        except BaseException:
            ours.close()
            raise
    return process, ours
