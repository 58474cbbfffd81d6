"""The Celery application of a trainer: one message, one run, acknowledged at its end.

As in `inkmill.worker.app`, but with one thread, which waits for the process that trains.
"""

from __future__ import annotations

import logging
import threading
import warnings
from typing import Any

from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning, Reject

from inkmill import names
from inkmill.backends.broker import celery_app
from inkmill.backends.queue.channel import hardened
from inkmill.backends.queue.signing import Signer
from inkmill.errors import PreconditionFailed, ShuttingDown, StoreDenied, Unreachable
from inkmill.log import set_up_logging
from inkmill.records.messages import Message
from inkmill.settings import Settings
from inkmill.trainer.queue.service import TrainerService

log = logging.getLogger(__name__)

#: Before a message goes back that came while the store was away (seconds).
_PAUSE_SECONDS = 5.0


def make_app(settings: Settings, service: TrainerService) -> Celery:
    """The application with its task. Connects to nothing yet."""
    app = celery_app(settings)
    app.conf.update(
        broker_url=hardened(settings.redis_url),
        worker_pool="threads",
        worker_concurrency=1,
        broker_transport_options={
            **app.conf.broker_transport_options,
            "signer": Signer.of(settings),
        },
    )
    app.conf.task_queues = [each for each in app.conf.task_queues if each.name == names.TRAIN]
    app.conf.task_default_queue = names.TRAIN

    def train_run(**fields: Any) -> None:
        run = Message.decode(fields).job
        try:
            service.take(run)
        except (Unreachable, StoreDenied, PreconditionFailed, ShuttingDown) as error:
            log.warning("run %s goes back to the queue: %s", run, error)
            service.stopping.wait(_PAUSE_SECONDS)
            raise Reject(str(error), requeue=True) from error

    app.task(name=names.TRAIN_TASK, acks_late=True, ignore_result=True)(train_run)
    return app


def serve(settings: Settings, service: TrainerService) -> int:
    """Run a trainer until it receives SIGTERM or SIGINT; returns its exit code.

    A run in hand saves a checkpoint and goes back to the queue.
    """
    house = threading.Thread(target=service.keep_house, name="house", daemon=True)

    def set_up(**_: Any) -> None:
        set_up_logging(settings.log_format, settings.log_level)
        # Celery tells again, with a traceback, what is logged here in a line.
        logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
        logging.getLogger("celery.app.trace").setLevel(logging.ERROR)
        # Shown at each lost connection, about a setting that celery_app makes on purpose.
        warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)

    def begin(**_: Any) -> None:
        log.info("waiting for trainings in the queue %s", names.TRAIN)
        house.start()

    def stop(**_: Any) -> None:
        service.stopping.set()

    signals.setup_logging.connect(set_up, weak=False)
    signals.worker_ready.connect(begin, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    worker = make_app(settings, service).Worker(
        pool="threads",
        concurrency=1,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)
