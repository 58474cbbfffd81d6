"""The entrance of a predictor process: ``python -m inkmill.worker.device.main``.

It gets crops from engines, which decode strangers' files, so it is confined like them; and it ends
when its worker does.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from inkmill.errors import InkmillError
from inkmill.log import set_up_logging
from inkmill.worker.confinement import confine, die_before_and_with_the_worker
from inkmill.worker.link import DeviceConfig, Door, Link, Pulse

log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Compute for engines until the worker has gone; returns 1 if the device fails.

    ``arguments`` are the descriptors of the connection to the worker, of the door and of the pulse,
    and a `DeviceConfig` as JSON.
    """
    worker, door, pulse = map(int, arguments[:3])
    config = DeviceConfig(**json.loads(arguments[3]))
    # Ctrl-C and SIGTERM are for the worker, which closes the connection when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    confine()
    die_before_and_with_the_worker()
    set_up_logging(config.log_format, config.log_level)
    try:
        serve(
            config,
            Link(socket.socket(fileno=worker)),
            Door(socket.socket(fileno=door)),
            Pulse(pulse),
        )
    except InkmillError as error:
        log.error("%s cannot be used: %s", config.device, error)
    except Exception:
        log.exception("%s failed", config.device)
    return 1


def serve(config: DeviceConfig, worker: Link, door: Door, pulse: Pulse) -> None:
    """Serve engines; raises what the device raises."""
    from inkmill.worker.device.server import PredictorServer
    from inkmill.worker.device.tensorflow import Device

    device = Device(config.device, config.threads, Path(config.cache_dir))
    server = PredictorServer(
        device.open_model,
        kept=config.models_kept,
        most=max(device.shapes),
        delay=config.delay,
        pulse=pulse,
    )
    for name, talk in (
        ("worker", lambda: server.obey(worker)),
        ("door", lambda: server.admit(door)),
    ):
        threading.Thread(target=_until_it_goes, args=(talk,), name=name, daemon=True).start()
    log.info("computing on %s", device.words)
    server.run()


def _until_it_goes(talk: Callable[[], None]) -> None:
    try:
        talk()
    except (EOFError, OSError):
        # The worker has gone. Skip TensorFlow's slow clean-up: there is nothing to save.
        os._exit(0)


if __name__ == "__main__":
    # The threads of engines wait for answers that nobody will give.
    code = main(sys.argv[1:])
    logging.shutdown()
    os._exit(code)
