"""The Celery application of the worker: ``celery -A inkmill.worker.app worker``.

One task, one message, one chunk. Celery's process talks to the store and acknowledges messages; it
never imports TensorFlow, which only the engines use.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from typing import Any

from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, Reject

from inkmill import names
from inkmill.backends.broker import celery_app
from inkmill.backends.queue.channel import hardened
from inkmill.backends.queue.signing import Signer
from inkmill.confinement import hide_memory
from inkmill.errors import CannotStart, ShuttingDown
from inkmill.log import set_up_logging
from inkmill.records.messages import Message
from inkmill.settings import Settings
from inkmill.worker import sizing
from inkmill.worker.chunk import run
from inkmill.worker.order import WeightedOrder
from inkmill.worker.service import Service

log = logging.getLogger(__name__)


def make_app(settings: Settings) -> Celery:
    """The Celery application for these settings, with its task. Connects to nothing yet."""
    app = celery_app(settings)
    app.conf.update(
        broker_url=hardened(settings.redis_url),
        # Threads, since a task only waits for an engine.
        worker_pool="threads",
        worker_concurrency=sizing.slots(settings),
        broker_transport_options={
            **app.conf.broker_transport_options,
            "queue_order_strategy": WeightedOrder,
            "signer": Signer.of(settings),
        },
    )
    served = {queue for each in settings.queues for queue in names.queues(each)}
    app.conf.task_queues = [queue for queue in app.conf.task_queues if queue.name in served]
    app.task(name=names.TASK, acks_late=True, ignore_result=True)(read_chunk)
    return app


def read_chunk(**fields: Any) -> None:
    """Read the chunk that a message names. Celery acknowledges the message when this returns."""
    message = Message.decode(fields)
    try:
        run.run(_service().context, message)
    except ShuttingDown as error:
        log.info("chunk goes back to the queue: %s", error, extra={"job": message.job})
        raise Reject(str(error), requeue=True) from error


_running: list[Service] = []


def _service() -> Service:
    return _running[0]


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    settings = Settings.load()
    set_up_logging(settings.log_format, settings.log_level)
    # Celery logs each task twice; the worker logs it once, with job, chunk and model.
    for noisy in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Shown at each lost connection, about a setting that celery_app makes on purpose.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)


@signals.worker_init.connect
def _start(**_: Any) -> None:
    if _running:
        return
    hide_memory()  # from the engines, which run as the same user
    name = f"{socket.gethostname()}:{os.getpid()}"
    try:
        _running.append(Service(Settings.load(), name))
        _running[0].start()
    except CannotStart as error:
        log.error("the worker cannot start: %s", error)
        raise SystemExit(1) from error
    except Exception as error:
        # Celery would log it and consume messages all the same, with nobody to do the work.
        log.exception("the worker cannot start")
        raise SystemExit(1) from error


@signals.worker_ready.connect
def _ready(**_: Any) -> None:
    _service().ready()


@signals.worker_shutting_down.connect
def _drain(**_: Any) -> None:
    _service().drain()


@signals.worker_shutdown.connect
def _stop(**_: Any) -> None:
    _service().stop()


def __getattr__(name: str) -> Celery:
    # Created at first use, so that importing this module needs no settings.
    if name in ("app", "celery"):
        made = make_app(Settings.load())
        globals()["app"] = globals()["celery"] = made
        return made
    raise AttributeError(name)


def serve() -> int:
    """Run a worker until it receives SIGTERM or SIGINT; returns its exit code."""
    from inkmill.worker import app as module

    application: Celery = module.app
    worker = application.Worker(
        pool="threads",
        concurrency=application.conf.worker_concurrency,
        # Workers do not talk to each other: the store and the queue are all they share.
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
