"""The local servers: what can go wrong between choosing a port and using it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from inkmill.backends.store import open_store
from inkmill.errors import InkmillError, UsageError
from inkmill.local import servers as module
from inkmill.local.servers import Stack
from inkmill.settings import Settings


def test_a_port_that_is_taken_meanwhile_is_replaced_and_a_folder_has_one_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose, chosen = module.free_ports, list[int]()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]

        def unlucky(count: int) -> list[int]:
            ports = choose(count)
            if not chosen:
                ports[0] = taken
            chosen.extend(ports)
            return ports

        monkeypatch.setattr(module, "free_ports", unlucky)
        running = Stack(tmp_path / "home", Settings())
        try:
            running.__enter__()
        except InkmillError:
            if os.environ.get("CI"):
                raise
            pytest.skip("no servers")
        try:
            assert str(taken) not in running.settings.redis_url
            store = open_store(running.settings)
            store.put("a", b"1")
            assert store.get("a").data == b"1"
            with pytest.raises(UsageError, match="another local stack"):
                Stack(tmp_path / "home", Settings()).__enter__()
        finally:
            running.kill("s3")
            running.stop()


#: Starts a stack, says so, and waits to be killed.
_KILLED = """
import sys, time
from pathlib import Path
from inkmill.backends.store import open_store
from inkmill.local.servers import Stack
from inkmill.settings import Settings
with Stack(Path(sys.argv[1]), Settings()) as running:
    open_store(running.settings).put("a", b"1")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_a_stack_starts_while_the_servers_of_a_killed_one_still_leave(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        if first.stdout.readline() != "ready\n" and not os.environ.get("CI"):
            pytest.skip("no servers")
        first.kill()
    running = Stack(tmp_path, Settings())
    try:
        running.__enter__()
        assert open_store(running.settings).get("a").data == b"1"
        running.kill("s3")
    finally:
        running.stop()
