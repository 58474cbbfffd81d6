"""inkmill doctor: check everything that a job needs."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from inkmill import names
from inkmill.cli.checks import CheckResult
from inkmill.cli.extras import missing_extra
from inkmill.errors import InkmillError
from inkmill.urls import redact

if TYPE_CHECKING:
    from inkmill.backends.queue import Queue
    from inkmill.settings import Settings

#: A larger offset (seconds) confuses logs and retention; deliveries use the clock of Redis.
_CLOCK = 5.0
#: Optional: not reported if they are absent.
_EXTRA_RUNTIMES = ("openvino", "onnxruntime")


@click.command()
@click.option(
    "--deep", is_flag=True, help="Also try what Inkmill relies on in the S3 service and in Redis."
)
def doctor(deep: bool) -> None:
    """Check settings, Redis, S3, model, versions and clock; gives a remedy for each finding."""
    from inkmill.errors import Unreachable
    from inkmill.settings import Settings

    findings = list(examine(Settings.load(), deep=deep))
    for each in findings:
        mark = click.style("ok  ", fg="green") if each.fine else click.style("BAD ", fg="red")
        click.echo(f"{mark}{each.what:<10} {redact(each.seen)}")
        if each.remedy:
            click.echo(f"{'':15}{redact(each.remedy)}")
    if not all(each.fine for each in findings):
        raise Unreachable("some checks failed: see the lines marked BAD")


def examine(settings: Settings, *, deep: bool = False) -> Iterator[CheckResult]:
    """Check everything that a job needs, one finding after another; never raises."""
    from inkmill.settings import unknown_variables

    chosen = ", ".join(sorted(settings.model_fields_set)) or "all defaults"
    yield CheckResult("settings", True, f"valid; set: {chosen}")
    if unknown := unknown_variables(os.environ):
        remedy = "a misspelt setting has no effect: docs/reference/settings.md lists their names"
        yield CheckResult("settings", True, f"not settings: {', '.join(unknown)}", remedy)
    yield from _versions()
    for what, look, remedy in (
        ("redis", _redis, "start it, or set INKMILL_REDIS_URL"),
        ("s3", _s3, "check INKMILL_S3_ENDPOINT, INKMILL_S3_BUCKET and the credentials"),
        ("model", _model, "publish one: inkmill models publish"),
        ("records", _records, "repeat this once S3 answers"),
        ("outbox", _outbox, "repeat this once S3 answers"),
        ("precision", _precision, "start a worker, which measures it"),
        ("gpu", _gpu, "set INKMILL_GPU=off"),
        ("workers", _workers, "start one: inkmill worker"),
        *(_DEEP if deep else ()),
    ):
        yield from _guarded(what, look, remedy, settings)


def _guarded(
    what: str, look: Callable[[Settings], Iterator[CheckResult]], remedy: str, settings: Settings
) -> Iterator[CheckResult]:
    try:
        yield from look(settings)
    except InkmillError as error:
        yield CheckResult(what, False, str(error), remedy)
    except ModuleNotFoundError as error:
        if not (lacking := missing_extra(error)):
            raise
        yield CheckResult(what, True, f"not checked on this machine: {lacking}")


def _versions() -> Iterator[CheckResult]:
    from importlib.metadata import PackageNotFoundError, version

    packages = ("inkmill", "celery", "redis", "boto3", "pillow", "tensorflow")
    found = {}
    for name in (*packages, *_EXTRA_RUNTIMES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name in packages:
                found[name] = "not installed"
    seen = ", ".join(f"{name} {number}" for name, number in found.items())
    yield CheckResult("versions", True, f"Python {platform.python_version()}, {seen}")
    yield _system_calls()
    if found["tensorflow"] == "not installed":
        yield CheckResult(
            "worker",
            True,
            "TensorFlow is not installed: this machine can submit and export",
            "for a worker: pip install 'inkmill[worker]'",
        )


def _system_calls() -> CheckResult:
    from inkmill.confinement import libseccomp

    there = libseccomp() is not None
    return CheckResult(
        "seccomp",
        True,
        "decoders of files cannot use the network" if there else "libseccomp is not installed",
        "" if there else "decoders of files can use the network: apt install libseccomp2",
    )


def _redis(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends.broker import reachable
    from inkmill.backends.queue import Queue

    queue = Queue(settings)
    with reachable():
        began = time.time()
        theirs: tuple[int, int] = queue.client.time()
        taken = time.time() - began
        info: dict[str, object] = queue.client.info()
    waiting = ", ".join(f"{name} {number}" for name, number in queue.lengths().items())
    yield CheckResult(
        "redis",
        True,
        f"{info['redis_version']}, answers in {taken * 1000:.1f} ms; waiting: {waiting}",
    )
    yield from _aside(queue)
    if not info.get("aof_enabled"):
        yield CheckResult(
            "redis",
            True,
            "append-only file is off",
            "appendonly yes avoids resending after a crash",
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    yield CheckResult(
        "redis",
        policy == "noeviction",
        f"maxmemory-policy {policy}",
        "" if policy == "noeviction" else "set it to noeviction: others lose queued messages",
    )
    apart = abs((theirs[0] + theirs[1] / 1e6) - time.time())
    yield CheckResult(
        "clock",
        apart < _CLOCK,
        f"differs by {apart:.1f} s from that of Redis",
        "" if apart < _CLOCK else "synchronise the clocks (chrony, systemd-timesyncd)",
    )


def _aside(queue: Queue) -> Iterator[CheckResult]:
    if kept := queue.aside():
        yield CheckResult(
            "redis",
            True,
            f"{kept} entries were set aside: they were not valid messages",
            f"LRANGE {names.ASIDE} 0 9 in redis-cli shows the newest; workers' logs say why",
        )


def _s3(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends.store import open_store
    from inkmill.errors import PreconditionFailed

    store, key = open_store(settings), f"doctor/{secrets.token_hex(8)}"
    began = time.perf_counter()
    etag = store.put(key, b"doctor", if_none_match=True)
    taken = time.perf_counter() - began
    kept = []
    for condition in ({"if_none_match": True}, {"if_match": '"0123456789abcdef"'}):
        try:
            store.put(key, b"again", **condition)
            kept.append(False)
        except PreconditionFailed:
            kept.append(True)
    unchanged = store.get_if_changed(key, store.get(key).etag if not all(kept) else etag) is None
    store.delete([key])
    place = settings.s3_endpoint or "AWS"
    yield CheckResult(
        "s3", True, f"bucket {settings.s3_bucket} at {place}, PUT in {taken * 1e3:.1f} ms"
    )
    yield CheckResult(
        "s3",
        all(kept) and unchanged,
        "conditional writes work" if all(kept) else "conditional writes do NOT work",
        ""
        if all(kept)
        else "use a service that supports If-Match and If-None-Match: results and "
        "models depend on them (AWS, SeaweedFS 3.9x or newer, MinIO, Ceph Squid)",
    )


def _model(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends import model_index
    from inkmill.backends.store import open_store

    pointer = model_index.latest(open_store(settings), settings.model)
    yield CheckResult("model", True, f"{settings.model} {pointer.version[:12]} is latest")


def _records(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends.store import open_store
    from inkmill.cli.damaged_records import MOST, damaged_records

    damaged = list(damaged_records(open_store(settings), settings.model))
    if not damaged:
        yield CheckResult("records", True, f"those of jobs and models can be read (up to {MOST:,})")
    for each in damaged:
        yield CheckResult("records", False, each, "it is passed over: delete or replace the object")


def _outbox(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends.store import open_store
    from inkmill.cli.checks.outbox import check_outbox

    yield from check_outbox(open_store(settings))


def _precision(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.models import autotune

    for tuning in autotune.tunings(settings.cache_dir):
        yield CheckResult("precision", True, str(tuning))


def _gpu(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.worker import gpus, sizing

    found, engines = gpus.gpus(settings), sizing.engine_count(settings)
    if found.trouble:
        yield CheckResult("gpu", settings.gpu == "auto", found.trouble, found.remedy)
    seen = f"none: the {engines} engines of a worker here compute on the processors"
    if found.names:
        seen = f"{', '.join(found.names)}: a predictor process each, fed by {engines} engines"
    yield CheckResult("gpu", True, seen)


def _workers(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends.queue import Queue

    workers = Queue(settings).workers()
    yield CheckResult(
        "workers",
        bool(workers),
        f"{len(workers)} reported recently, {sum(workers.values())} chunks at once",
        "" if workers else "start one: inkmill worker",
    )


def _redis_in_depth(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends.queue import Queue
    from inkmill.cli.checks.redis import check_redis

    yield from check_redis(Queue(settings))


def _s3_in_depth(settings: Settings) -> Iterator[CheckResult]:
    from inkmill.backends.store import open_store
    from inkmill.cli.checks.store import check_store

    yield from check_store(open_store(settings), settings.s3_endpoint)


_DEEP = (
    ("redis", _redis_in_depth, "start it, or set INKMILL_REDIS_URL"),
    ("s3", _s3_in_depth, "check INKMILL_S3_ENDPOINT, INKMILL_S3_BUCKET and the credentials"),
)
