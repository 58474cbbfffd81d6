"""Two Redis, one of them the master, and three Sentinels that watch them: real servers."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from pydantic import SecretStr

from inkmill.local.servers import find_redis, free_ports
from inkmill.settings import Settings
from tests.certificates import Certificates
from tests.parts import redis_users

_PASSWORD, _SENTINELS_PASSWORD = "of-redis", "of-sentinels"
_NAME = "mill"


def has_tls(program: str) -> bool:
    """Whether this redis-server was built with TLS."""
    (port,) = free_ports(1)
    done = subprocess.run(
        [program, "--port", "0", "--tls-port", str(port), "--tls-cert-file", "/nowhere"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return "Bad directive" not in done.stdout + done.stderr


class Watched:
    """A context manager; ``settings`` reach the master through the Sentinels, as a part does.

    Every server asks for a password, the Sentinels for another one; with certificates, every
    connection is by TLS, and asks for the client's certificate.
    """

    def __init__(self, folder: Path, base: Settings, certificates: Certificates | None) -> None:
        self._folder = folder
        self._certificates = certificates
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        ports = free_ports(5)
        self.redis, self.sentinels = ports[:2], ports[2:]
        self.settings = base.model_copy(
            update={
                "redis_url": ";".join(
                    f"sentinel://:{_PASSWORD}@127.0.0.1:{port}/0" for port in self.sentinels
                ),
                "redis_sentinel_master": _NAME,
                "redis_sentinel_password": SecretStr(_SENTINELS_PASSWORD),
                **(
                    {"redis_tls": True, "redis_sentinel_tls": True, **certificates.client()}
                    if certificates
                    else {}
                ),
            }
        )

    def as_part(self, part: str) -> Settings:
        """The same as the ACL user of a part."""
        user = f"//inkmill-{part}:PASSWORD_OF_{part.upper()}@"
        url = self.settings.redis_url.replace(f"//:{_PASSWORD}@", user)
        return self.settings.model_copy(update={"redis_url": url})

    def __enter__(self) -> Watched:
        for port in self.redis:
            self.start(port)
        for port in self.sentinels:
            self._start_sentinel(port)
        self._until(lambda: self._replicas() == 1, "a replica is known")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def start(self, port: int) -> None:
        """Start a Redis; it follows the master, unless it is to be the first one."""
        first = port == self.redis[0] and not self._processes
        master = None if first else (self.redis[0] if len(self._processes) == 1 else self.master())
        lines = [
            *self._common(port),
            *(f"requirepass {_PASSWORD}", f"masterauth {_PASSWORD}", "appendonly no", 'save ""'),
            *([f"replicaof 127.0.0.1 {master}"] if master else []),
            *(f"user {name} {' '.join(rules)}" for name, rules in redis_users().items()),
        ]
        self._spawn(port, lines)

    def kill(self, port: int) -> None:
        """End a server as a crash would."""
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def master(self) -> int:
        """The port of the master, as a Sentinel says it."""
        return int(self._ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", _NAME)[1])

    def fail_over(self) -> int:
        """Kill the master, wait until the other one is it, and start the first again as its
        replica; returns the port of the new master."""
        old = self.master()
        self.kill(old)
        self._until(lambda: self.master() != old, "another master")
        self.start(old)
        self._until(lambda: self._replicas() == 1, "the old master follows the new one")
        return self.master()

    def _replicas(self) -> int:
        info = self.client(self.master()).info("replication")
        return sum(info[f"slave{n}"]["state"] == "online" for n in range(info["connected_slaves"]))

    def client(self, port: int, password: str = _PASSWORD) -> redis.Redis:
        """A client of one of the servers."""
        known = self._certificates
        tls: dict[str, Any] = (
            {
                "ssl": True,
                "ssl_ca_certs": str(known.authority),
                "ssl_certfile": str(known.client_cert),
                "ssl_keyfile": str(known.client_key),
            }
            if known
            else {}
        )
        return redis.Redis("127.0.0.1", port, password=password, socket_timeout=2.0, **tls)

    def _ask(self, *command: str) -> Any:
        with self.client(self.sentinels[0], _SENTINELS_PASSWORD) as client:
            return client.execute_command(*command)

    def _start_sentinel(self, port: int) -> None:
        lines = [
            *self._common(port),
            f"requirepass {_SENTINELS_PASSWORD}",
            f"sentinel sentinel-pass {_SENTINELS_PASSWORD}",
            f"sentinel monitor {_NAME} 127.0.0.1 {self.redis[0]} 2",
            f"sentinel auth-pass {_NAME} {_PASSWORD}",
            f"sentinel down-after-milliseconds {_NAME} 1000",
            f"sentinel failover-timeout {_NAME} 4000",
        ]
        self._spawn(port, lines, "--sentinel")

    def _common(self, port: int) -> list[str]:
        folder = self._folder / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        common = ["bind 127.0.0.1", f"dir {folder}", "daemonize no"]
        known = self._certificates
        if known is None:
            return [*common, f"port {port}"]
        return [
            *(*common, "port 0", f"tls-port {port}", "tls-replication yes", "tls-auth-clients yes"),
            *(f"tls-ca-cert-file {known.authority}", f"tls-cert-file {known.server_cert}"),
            f"tls-key-file {known.server_key}",
        ]

    def _spawn(self, port: int, lines: list[str], *more: str) -> None:
        path = self._folder / f"{port}.conf"
        path.write_text("\n".join(lines) + "\n")
        with (self._folder / f"{port}.log").open("ab") as log:
            self._processes[port] = subprocess.Popen(
                [find_redis(), str(path), *more], stdout=log, stderr=log
            )
        asked = _SENTINELS_PASSWORD if more else _PASSWORD
        self._until(lambda: self.client(port, asked).ping(), f"a server at {port}")

    def _until(self, what: Any, words: str) -> None:
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            with suppress(redis.RedisError, KeyError):
                if what():
                    return
            time.sleep(0.1)
        raise AssertionError(f"not within a minute: {words}; see {self._folder}")
