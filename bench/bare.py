"""The limit: what Inkmill does with each image, in plain loops without a queue.

Header checks, decoding, registration and cells for pages, normalisation, the model in the same
precision; results stay in memory. Processes or threads, whichever is faster is the limit.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

#: Images that a loop decodes before it asks the model: Inkmill's largest batch.
BATCH = {"digits": 1024, "pages": 16}


def together(loop: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What loops in processes of their own answer; all begin at once.

    Each gets its arguments and a pipe. It says that it is ready, waits for a word, and answers.
    """
    context = multiprocessing.get_context("spawn")
    pipes, running = [], []
    for given in arguments:
        ours, theirs = context.Pipe()
        pipes.append(ours)
        running.append(context.Process(target=loop, args=(*given, theirs)))
        running[-1].start()
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    answers = [pipe.recv() for pipe in pipes]
    for process in running:
        process.join()
    return answers


def processes(kind: str, count: int, seconds: float) -> dict[str, Any]:
    """Items a second of ``count`` processes, each with its own model and one thread."""
    answers = together(_process, [(kind, seconds, number) for number in range(count)])
    return {
        "rate": sum(done / taken for done, taken, _, _ in answers),
        "items": sum(done for done, _, _, _ in answers),
        "cpu": {f"process {n}": cpu for n, (_, _, cpu, _) in enumerate(answers, 1)},
        "precision": answers[0][3],
    }


def _process(kind: str, seconds: float, number: int, pipe: Connection) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    step, precision = loop(kind, number)
    step()
    pipe.send("ready")
    pipe.recv()
    before = time.process_time()
    done, taken = _run(step, seconds)
    pipe.send((done, taken, time.process_time() - before, precision))


def threads(kind: str, count: int, seconds: float) -> dict[str, Any]:
    """Items a second of ``count`` threads of one process, each with its own model."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_threads, args=(kind, count, seconds, theirs))
    process.start()
    answers: list[tuple[int, float]]
    answers, precision = ours.recv()
    process.join()
    return {
        "rate": sum(done / taken for done, taken in answers),
        "items": sum(done for done, _ in answers),
        "precision": precision,
    }


def _threads(kind: str, count: int, seconds: float, pipe: Connection) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    steps = [loop(kind, number) for number in range(count)]
    answers: list[tuple[int, float]] = []
    started = threading.Barrier(count)

    def work(step: Callable[[], int]) -> None:
        step()
        started.wait()
        answers.append(_run(step, seconds))

    running = [threading.Thread(target=work, args=(step,)) for step, _ in steps]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    pipe.send((answers, steps[0][1]))


def _run(step: Callable[[], int], seconds: float) -> tuple[int, float]:
    done, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds:
        done += step()
    return done, taken


def loop(kind: str, number: int = 0) -> tuple[Callable[[], int], str]:
    """A step that reads one batch of images, and the model's precision on this host."""
    import cv2

    from inkmill.models import autotune, pretrained
    from inkmill.models.predictor import Predictor
    from inkmill.settings import Settings

    cv2.setNumThreads(1)
    files = pretrained.load()
    precision = autotune.precision_for(
        files.manifest, files.weights, files.golden, Settings().cache_dir, 1
    )
    predictor = Predictor(
        files.manifest, files.weights, precision=precision, threads=1, golden=files.golden
    )
    make = _digits if kind == "digits" else _pages
    return make(predictor, number), precision


def _digits(predictor: Any, number: int) -> Callable[[], int]:
    import numpy as np

    from bench.material import digit_files
    from inkmill.forms.cut.normalise import normalise
    from inkmill.forms.intake import decode_page
    from inkmill.imagefile.sniff import Limits

    files, limits, batch = digit_files(), Limits(), BATCH["digits"]
    size, filters = predictor.manifest.input_size, predictor.manifest.filters
    place = number * len(files) // 2

    def step() -> int:
        nonlocal place
        crops = []
        for data in _taken(files, place, batch):
            crop = normalise(decode_page(data, 1, limits).grey, size, filters)
            if crop is not None:
                crops.append(crop)
        probabilities = predictor.predict(np.stack(crops))
        probabilities.argmax(axis=1)
        place += batch
        return batch

    return step


def _pages(predictor: Any, number: int) -> Callable[[], int]:
    import numpy as np

    from bench.material import page_files, page_form, read_cells, use_kernels
    from inkmill.imagefile.sniff import Limits

    use_kernels()
    files, form, limits, batch = page_files(), page_form(), Limits(), BATCH["pages"]
    size, filters = predictor.manifest.input_size, predictor.manifest.filters
    place = number * len(files) // 2

    def step() -> int:
        nonlocal place
        pages = [
            read_cells(data, form, 1, size, filters, limits) for data in _taken(files, place, batch)
        ]
        probabilities = predictor.predict(np.concatenate([page.crops for page in pages]))
        probabilities.argmax(axis=1)
        place += batch
        return batch

    return step


def _taken(files: Sequence[bytes], place: int, count: int) -> list[bytes]:
    return [files[(place + each) % len(files)] for each in range(count)]
