"""Is this Redis one that messages are safe in, and may this user do what the work needs?"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from inkmill import names
from inkmill.backends.broker import no_permission, reachable
from inkmill.cli.checks import CheckResult
from inkmill.errors import Unreachable

if TYPE_CHECKING:
    from inkmill.backends.queue import Queue

#: Redis 6.2 brought ZRANGE BYSCORE, BLMOVE and HRANDFIELD, which are used.
_OLDEST = (6, 2)
#: Of the limit of memory; above it, an operator should know.
_FULL = 0.8
_PINGS = 20
#: The answer to a request inside one data centre takes less (seconds).
_SLOW = 0.05


def check_redis(queue: Queue) -> Iterator[CheckResult]:
    """Look at the server and try the user's rights, one finding after another.

    Leaves nothing behind. Raises Unreachable.
    """
    with reachable():
        info: Mapping[str, Any] = queue.client.info()
    yield from _server(info)
    yield from _persistence(info)
    yield from _memory(info)
    yield _latency(queue)
    yield from _rights(queue)
    yield from _too_many_rights(queue)
    url = urlsplit(queue.settings.redis_url.split(";")[0])
    encrypted = url.scheme == "rediss" or queue.settings.redis_tls
    here = url.hostname in ("127.0.0.1", "::1", "localhost")
    yield CheckResult(
        "redis",
        True,
        "connections are encrypted" if encrypted else "connections are not encrypted",
        "" if encrypted or here else "use TLS: rediss://, or INKMILL_REDIS_TLS with Sentinels",
    )


def _server(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    version = str(info["redis_version"])
    fine = tuple(int(part) for part in version.split(".")[:2]) >= _OLDEST
    yield CheckResult(
        "redis", fine, f"version {version}", "" if fine else "Inkmill needs Redis 6.2 or newer"
    )
    role = str(info.get("role", "master"))
    yield CheckResult(
        "redis",
        role == "master",
        f"role: {role}",
        "" if role == "master" else "name the master, or its Sentinels: INKMILL_REDIS_URL",
    )
    if info.get("cluster_enabled"):
        yield CheckResult(
            "redis", False, "Redis Cluster", "not supported: use one Redis or Sentinel"
        )


def _persistence(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    states = {
        "appending": info.get("aof_last_write_status", "ok"),
        "rewriting": info.get("aof_last_bgrewrite_status", "ok"),
        "saving": info.get("rdb_last_bgsave_status", "ok"),
    }
    failed = [name for name, state in states.items() if state != "ok"]
    kind = "append-only file" if info.get("aof_enabled") else "snapshots at most"
    yield CheckResult(
        "redis",
        not failed,
        f"persistence: {kind}" + (f"; {', '.join(failed)} failed" if failed else ""),
        "see the log of Redis: is its disk full?" if failed else "",
    )


def _memory(info: Mapping[str, Any]) -> Iterator[CheckResult]:
    used, most = int(info["used_memory"]), int(info.get("maxmemory", 0))
    seen = f"{used / 2**20:,.0f} MiB used" + (f" of {most / 2**20:,.0f}" if most else ", no limit")
    full = bool(most) and used > _FULL * most
    remedy = "" if most else "set maxmemory below what the host has, with noeviction"
    yield CheckResult(
        "redis", not full, seen, "raise maxmemory, or see what fills it" if full else remedy
    )


def _latency(queue: Queue) -> CheckResult:
    times = []
    for _ in range(_PINGS):
        began = time.perf_counter()
        with reachable():
            queue.client.ping()
        times.append(time.perf_counter() - began)
    typical = statistics.median(times)
    return CheckResult(
        "redis",
        True,
        f"answers in {typical * 1e3:.1f} ms, at worst {max(times) * 1e3:.1f}",
        "" if typical < _SLOW else "workers wait for it at each chunk: put them closer together",
    )


def _rights(queue: Queue) -> Iterator[CheckResult]:
    """What a producer or worker does, tried on a job that does not exist."""
    job = f"doctor-{secrets.token_hex(8)}"
    tries: tuple[tuple[str, Callable[[], object]], ...] = (
        ("offer chunks", lambda: queue.offer(job, range(2))),
        ("take them into the window", lambda: queue.admit(job)),
        ("send them again", lambda: queue.requeue(job, [0])),
        ("remember attempts", lambda: queue.recall(job, {0: 1})),
        ("read progress", lambda: queue.progress(job)),
        ("see what is in flight", queue.present),
        ("see the workers", queue.workers),
        ("see what was set aside", queue.aside),
        ("wake those who wait", lambda: queue.end(job)),
    )
    lacking = []
    try:
        for what, attempt in tries:
            try:
                attempt()
            except Unreachable as error:
                if error.__cause__ is None or not no_permission(error.__cause__):
                    raise
                lacking.append(what)
    finally:
        with reachable():
            queue.client.delete(*names.hints(job), names.ended(job))
    yield CheckResult(
        "redis",
        not lacking,
        f"this user may not {', '.join(lacking)}" if lacking else "this user has the rights needed",
        "give it the rights of its part in deploy/redis/users.conf" if lacking else "",
    )


def _too_many_rights(queue: Queue) -> Iterator[CheckResult]:
    """A user that may read other people's keys, or the configuration, is nobody's part."""
    from redis.exceptions import NoPermissionError, ResponseError

    client: Any = queue.client
    allowed = []
    for command in (("EXISTS", "doctor-reads-others"), ("CONFIG", "GET", "maxmemory")):
        try:
            with reachable():
                client.execute_command(*command)
            allowed.append(command[0])
        except Unreachable as error:
            if not isinstance(error.__cause__, NoPermissionError | ResponseError):
                raise
    yield CheckResult(
        "redis",
        True,
        "this user reaches all keys" if allowed else "this user reaches Inkmill's keys only",
        "each part can have a user of its own: docs/how-to/secure.md" if allowed else "",
    )
