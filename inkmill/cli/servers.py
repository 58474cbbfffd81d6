"""The servers that a command works with: the configured ones, or some started for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from inkmill.cli.display import many, say

if TYPE_CHECKING:
    from inkmill.backends.store import Store
    from inkmill.local.workers import LocalWorkers
    from inkmill.models.registry import Registry
    from inkmill.models.weights import ModelFiles
    from inkmill.producer import Connection
    from inkmill.settings import Settings
    from inkmill.trainer.runs.storage import RunStore

#: Where the local servers keep their data, below the current folder.
HOME = Path(".inkmill")


def connection() -> Connection:
    """Connect to the servers that the settings name, with logs as a person reads them."""
    from inkmill.log import set_up_logging
    from inkmill.producer import connect

    made = connect()
    set_up_logging(made.settings.log_format, "warning")
    return made


@contextlib.contextmanager
def local_stack(
    workers: int, base: Settings, home: Path = HOME, *, shipped: bool = False
) -> Iterator[tuple[Settings, LocalWorkers]]:
    """Run servers, a model and workers on this machine; yields their settings and the workers.

    Their data stay in ``home`` and are there again the next time, including a model that was
    trained here or shipped with an earlier Inkmill. With ``shipped``, the model is replaced by the
    one that this Inkmill ships.
    """
    from inkmill.local.servers import Stack
    from inkmill.local.workers import LocalWorkers

    with ExitStack() as held:
        say("starting Redis and SeaweedFS on loopback")
        stack = held.enter_context(Stack(home, base))
        version = publish_shipped(stack.settings, replace=shipped)
        say(f"model {stack.settings.model} {version[:12]}; starting {many(workers, 'worker')}")
        log = home / "worker.log"
        running = held.enter_context(LocalWorkers(stack.settings, workers, log))
        if home == HOME:
            announced = stack.announce(Path())
            held.callback(announced.unlink, missing_ok=True)
        running.wait_ready()
        yield stack.settings, running


@contextlib.contextmanager
def any_stack(workers: int) -> Iterator[Settings]:
    """The stack that is configured or already up in this folder, else a local one."""
    from inkmill.settings import Settings

    settings = Settings.load()
    if {"redis_url", "s3_endpoint", "s3_bucket"} & settings.model_fields_set:
        yield settings
        return
    with local_stack(workers, settings) as (started, _):
        yield started


def publish_shipped(settings: Settings, *, replace: bool = False) -> str:
    """Publish the shipped models that the store lacks, or with ``replace`` instead of its latest.

    Returns the version of the model of digits that is latest afterwards.
    """
    from inkmill.backends.store import open_store
    from inkmill.models import pretrained
    from inkmill.models.registry import Registry

    store = open_store(settings)
    if pretrained.ships_strips():
        _publish(Registry(store, settings.strips_model), pretrained.load_strips, replace)
    return _publish(Registry(store, settings.model), pretrained.load, replace)


def _publish(registry: Registry, load: Callable[[], ModelFiles], replace: bool) -> str:
    current = registry.current()
    if current is None:
        return registry.publish(load())
    newest = load() if replace else None
    if newest is None or newest.manifest.version == current.version:
        return current.version
    return registry.publish(newest)


def run_stores() -> tuple[Store | None, RunStore]:
    """The configured object store, if any, and the store of runs: that one, or this folder."""
    from inkmill.backends.store import open_store
    from inkmill.settings import Settings
    from inkmill.trainer.runs.storage import FolderStore

    settings = Settings.load()
    if not {"s3_endpoint", "s3_bucket"} & settings.model_fields_set:
        return None, FolderStore(Path())
    store = open_store(settings)
    return store, store
