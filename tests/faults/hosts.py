"""Hosts with addresses and names of their own, made of network namespaces on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

#: A network that is used nowhere else: RFC 2544 keeps it for tests of equipment.
_NETWORK = "198.18.77"
_BRIDGE = "inkmill-faults"


def missing() -> str:
    """Why this machine cannot do it; empty if it can."""
    if os.geteuid() != 0:
        return "needs root: network namespaces are made for the workers"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "needs the programs ip and unshare"
    for command in (["unshare", "--net", "--uts", "true"], ["ip", "-d", "link", "show"]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return f"this machine does not allow it: {' '.join(command)}"
    return ""


class Hosts:
    """Some hosts on one switch; this machine is on it too, at ``here``. A context manager."""

    here = f"{_NETWORK}.1"

    def __init__(self, *names: str) -> None:
        self._names = names

    def __enter__(self) -> Hosts:
        self._remove()
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{self.here}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for number, name in enumerate(self._names, 2):
            cable = f"ink-{name}"
            _ip("netns", "add", cable)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", cable)
            _ip("link", "set", cable, "master", _BRIDGE, "up")
            inside = ("netns", "exec", cable, "ip")
            _ip(*inside, "addr", "add", f"{_NETWORK}.{number}/24", "dev", "eth0")
            _ip(*inside, "link", "set", "eth0", "up")
            _ip(*inside, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def command(self, name: str, command: Sequence[str]) -> list[str]:
        """What runs a command on a host, in the process that is started."""
        script = 'hostname "$0" && exec "$@"'
        host = ["ip", "netns", "exec", f"ink-{name}", "unshare", "--uts"]
        return [*host, "sh", "-c", script, name, *command]

    def unplug(self, name: str) -> None:
        """Pull a host's cable: nobody is told, packets are lost."""
        _ip("link", "set", f"ink-{name}", "down")

    def plug_in(self, name: str) -> None:
        _ip("link", "set", f"ink-{name}", "up")

    def _remove(self) -> None:
        for name in self._names:
            _ip("netns", "del", f"ink-{name}", check=False)
            _ip("link", "del", f"ink-{name}", check=False)
        _ip("link", "del", _BRIDGE, check=False)


def _ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
