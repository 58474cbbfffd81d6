"""What processes that decode strangers' files may not do, and what they may not see.

Such a process has no credentials. Code that took it over could look for them in the process that
started it, or send what it read to somewhere else. `filter_system_calls` takes the means away, with
libseccomp where the host has it; `hide_memory` is called by processes that do have credentials.
Linux only: elsewhere both do nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
from functools import lru_cache
from typing import Any

log = logging.getLogger(__name__)

#: From linux/prctl.h.
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CLONE_NEWUSER = 0x10000000

#: System calls that decoding a file and computing with it never need: those by which a process
#: reads or ends another one, and those that only administrators make, in which the kernel had many
#: of its defects.
_REFUSED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    *("tkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),  # connections by another way
    *("bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl"),
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "unshare", "setns"),
    *("open_by_handle_at", "name_to_handle_at", "quotactl", "acct", "swapon", "swapoff"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot"),
    *("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "iopl", "ioperm", "syslog"),
)


@lru_cache(maxsize=1)
def libseccomp() -> Any:
    """The binding to libseccomp, or None where the host has no such library."""
    if sys.platform != "linux":
        return None
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError):
        return None
    return pyseccomp


def filter_system_calls() -> bool:
    """Refuse this process, all of its threads and children, system calls that it does not need.

    A refused call fails with EPERM. Sockets are left only within this host (AF_UNIX). Cannot be
    undone. Returns whether the host could do it.
    """
    library = libseccomp()
    if library is None:
        return False
    try:
        _rules(library).load()
    except OSError as error:
        log.warning("system calls are not filtered: %s", error)
        return False
    return True


def _rules(library: Any) -> Any:
    """The filter, not yet loaded. Raises OSError where kernel or library cannot make it."""
    refuse = library.ERRNO(errno.EPERM)
    filters = library.SyscallFilter(library.ALLOW)
    filters.set_attr(library.Attr.CTL_TSYNC, 1)  # libraries have started threads by now
    for name in _REFUSED:
        if library.resolve_syscall(library.Arch.NATIVE, name) >= 0:  # this library knows of it
            filters.add_rule(refuse, name)
    for name in ("kill", "tgkill"):  # it may end itself, as abort() does
        filters.add_rule(refuse, name, library.Arg(0, library.NE, os.getpid()))
    filters.add_rule(refuse, "socket", library.Arg(0, library.NE, socket.AF_UNIX))
    flag = library.Arg(0, library.MASKED_EQ, _CLONE_NEWUSER, _CLONE_NEWUSER)
    filters.add_rule(refuse, "clone", flag)
    # Its flags lie in memory, where no filter sees them: the C library falls back to clone.
    filters.add_rule(library.ERRNO(errno.ENOSYS), "clone3")
    return filters


def hide_memory() -> None:
    """Keep other processes of the same user, such as an engine, from reading this one's memory and
    environment through /proc, or from tracing it. It leaves no core file either."""
    _prctl(_PR_SET_DUMPABLE, 0)


def gain_no_privileges() -> None:
    """No program that this process or its children start has more rights than they have."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        # All five, since the kernel refuses some options unless the others are 0.
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)
