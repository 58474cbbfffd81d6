"""G: engines that feed a GPU, against that GPU alone, decoding alone and a bare loop on it.

Without a GPU the processors are the device: that shows the cost of the round trip.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from bench.bare import BATCH, together
from bench.frame import in_turn, say, watching
from bench.material import digit_files, digit_items
from inkmill.models import pretrained
from inkmill.records.chunks import Chunk
from inkmill.records.jobs import ANY_PRECISION
from inkmill.settings import Settings
from inkmill.worker import gpus, metrics, sizing
from inkmill.worker.link import ModelPayload, Task
from inkmill.worker.pool import EnginePool

#: Items of a chunk; and how long a device may take until it has the model (seconds).
_ITEMS, _LOAD = 2048, 180.0


def main(seconds: float, repeats: int) -> None:
    """Each side for so many seconds, so often."""
    settings = Settings()
    found, engines = gpus.gpus(settings), sizing.engine_count(settings)
    devices = tuple(f"GPU:{number}" for number in range(len(found.names))) or ("CPU:0",)
    say(f"{', '.join(found.names) or 'no GPU: CPU:0'}, {engines} engines")
    first = devices[0]
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        f"{first} alone, crops in memory": lambda: _apart(_computing, first, 1, seconds),
        f"decoding alone, {engines} processes": lambda: _apart(_decoding, first, engines, seconds),
        f"bare loop on {first}, 1 process": lambda: _apart(_both, first, 1, seconds),
        f"Inkmill, {engines} engines and {', '.join(devices)}": lambda: _engines(
            settings, engines, devices, seconds
        ),
        f"Inkmill, {engines} engines alone": lambda: _engines(settings, engines, (), seconds),
    }
    in_turn("G", seconds, sides, repeats, devices=list(found.names or devices))


# --- plain loops, each in processes of its own ---------------------------------------------------


def _apart(
    make: Callable[[str], Callable[[], int]], device: str, processes: int, seconds: float
) -> dict[str, Any]:
    """Images a second of a step in so many processes."""
    rate = sum(together(_loop, [(make, device, seconds)] * processes))
    return {"rate": rate}


def _loop(
    make: Callable[[str], Callable[[], int]], device: str, seconds: float, pipe: Connection
) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    step = make(device)
    step()
    pipe.send("ready")
    pipe.recv()
    done, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds:
        done += step()
    pipe.send(done / taken)


def _computing(device: str) -> Callable[[], int]:
    """A step that computes the device's largest batch."""
    import numpy as np

    predictor, most = _predictor(device)
    crops = np.concatenate([np.stack(list(_crops(1024)))] * -(-most // 1024))[:most]
    return lambda: len(predictor.predict(crops))


def _decoding(_: str) -> Callable[[], int]:
    """A step that does all but compute."""
    places = count(0, BATCH["digits"])
    return lambda: sum(1 for _ in _crops(BATCH["digits"], next(places)))


def _both(device: str) -> Callable[[], int]:
    """A step of a script that decodes, and computes on the device."""
    import numpy as np

    predictor, _ = _predictor(device)
    places = count(0, BATCH["digits"])

    def step() -> int:
        crops = np.stack(list(_crops(BATCH["digits"], next(places))))
        return len(predictor.predict(crops).argmax(axis=1))

    return step


def _crops(number: int, place: int = 0) -> Iterator[Any]:
    """Crops of so many images of MNIST, all of which have ink."""
    from inkmill.forms.cut.normalise import normalise
    from inkmill.forms.intake import decode_page
    from inkmill.imagefile.sniff import Limits

    files, limits, model = digit_files(), Limits(), pretrained.load().manifest
    for each in range(place, place + number):
        page = decode_page(files[each % len(files)], 1, limits)
        yield normalise(page.grey, model.input_size, model.filters)


def _predictor(device: str) -> tuple[Any, int]:
    """The shipped model on the device, and the device's largest batch."""
    from inkmill.worker.device.tensorflow import Device

    opened = Device(device, 1, Settings().cache_dir)
    files = pretrained.load()
    predictor = opened.open_model(files.manifest, files.weights, files.golden, ANY_PRECISION)
    return predictor, max(opened.shapes)


# --- engines --------------------------------------------------------------------------------------


def _engines(
    settings: Settings, engines: int, devices: tuple[str, ...], seconds: float
) -> dict[str, Any]:
    """Images a second of engines with or without devices, fed from memory."""
    files = pretrained.load()
    version = files.manifest.version
    payload = ModelPayload(version, files.manifest.encode(), files.weights, files.golden)
    pool = EnginePool(settings, engines, sizing.threads(settings), devices=devices)
    try:
        pool.wait_ready(_LOAD)
        pool.load(payload)
        pool.wait_for_devices(version, _LOAD)
        data = Chunk("bench-g", 0, tuple(digit_items(_ITEMS))).encode()
        task = Task("bench-g", 0, data, _ITEMS, version)
        with ThreadPoolExecutor(2 * engines) as together:
            list(together.map(lambda _: pool.read(task, lambda _: payload), range(2 * engines)))
            return _fed(pool, together, task, payload, seconds)
    finally:
        pool.stop()


def _fed(
    pool: EnginePool,
    together: ThreadPoolExecutor,
    task: Task,
    payload: ModelPayload,
    seconds: float,
) -> dict[str, Any]:
    """The rate of engines that never wait for a chunk."""
    until = time.perf_counter() + seconds

    def feed(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            done += pool.read(task, lambda _: payload).rows
        return done

    pids = {f"process {pid}": pid for pid in (*pool.pids, *pool.device_pids)}
    batches, crops = metrics.DEVICE_BATCHES._value.get(), metrics.DEVICE_CROPS._value.get()
    began = time.perf_counter()
    with watching(pids) as seen:
        done = sum(together.map(feed, range(2 * len(pool.pids))))
    rate = done / (time.perf_counter() - began)
    found = {"rate": rate, "items": done, "cpu": seen.seconds}
    if batches := metrics.DEVICE_BATCHES._value.get() - batches:
        crops = metrics.DEVICE_CROPS._value.get() - crops
        found |= {"crops_per_batch": crops / batches, "share_on_devices": crops / done}
    return found
