"""`inkmill trainer` without a config: the loop that takes submitted runs, and its child process."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from inkmill.errors import UsageError


def trainer(
    *, data: Path | None, devices: str | None, processes: int | None, only: str | None
) -> None:
    """Serve the queue of trainings; with ``only``, train that run and return."""
    folder = Path("runs")
    if only is not None:
        _train(only, folder / only, data, devices, processes)
        return
    given = {"--data": data, "--devices": devices, "--processes": processes}
    more = [part for name, value in given.items() if value is not None for part in (name, value)]
    raise SystemExit(_serve(folder, [str(each) for each in more]))


def _serve(folder: Path, more: Sequence[str]) -> int:
    from inkmill.backends.queue import Queue
    from inkmill.cli.servers import run_stores
    from inkmill.settings import Settings
    from inkmill.trainer.queue.app import serve
    from inkmill.trainer.queue.service import TrainerService

    store, _ = run_stores()
    if store is None:
        raise UsageError(
            "trainers take runs from the object store and the queue: set INKMILL_S3_ENDPOINT, "
            "INKMILL_S3_BUCKET and INKMILL_REDIS_URL; for trainings of the desk, give CONFIG"
        )
    settings = Settings.load()
    service = TrainerService(
        settings,
        store,
        Queue(settings),
        name=f"{platform.node()[:60] or 'a trainer'}:{os.getpid()}",
        command=lambda run: [
            *(sys.executable, "-P", "-m", "inkmill", "trainer", *more, "--only", run)
        ],
        folder=folder,
    )
    return serve(settings, service)


def _train(
    run: str, folder: Path, data: Path | None, devices: str | None, processes: int | None
) -> None:
    from inkmill.cli.training import submitted
    from inkmill.models.quiet import load_tensorflow

    load_tensorflow()
    from inkmill.monitor import monitored
    from inkmill.settings import Settings
    from inkmill.trainer.loop import TrainingOptions
    from inkmill.trainer.measure.live import REGISTRY

    chosen = tuple(filter(None, (devices or "").split(",")))
    how = TrainingOptions(
        folder=folder,
        data=data,
        processes=processes,
        devices=chosen,
        resume_hint="inkmill trainer",
    )
    with monitored(Settings.load().metrics_listen, REGISTRY):
        submitted.carry_out(run, how)
