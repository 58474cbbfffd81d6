"""K: ten keyers and a supervisor at one desk, beside a worker that reads pages all the while.

The keyers' job has pages of `bench/templates/ledger.yaml`, read by the shipped model, of which
every eighth cell was made doubtful, so that there is enough to do. They type at a person's pace
(`bench.keyers`), and their browsers ask for pictures and checks as the page's script does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import httpx2 as httpx
import numpy as np
import psutil

from bench import pipeline
from bench.filled import ROOT, Recognizer, filled
from bench.frame import brief, keep, percentile, say, watching
from bench.keyers import PASSWORD, Browser, Keyer, Supervisor
from bench.material import page_form, page_items
from inkmill import names
from inkmill.desk.people.roles import Role
from inkmill.desk.people.users import People
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.identity import Name
from inkmill.local.servers import free_ports
from inkmill.records import rows
from inkmill.records.chunks import Item
from inkmill.records.jobs import Job
from inkmill.records.rows import Row
from inkmill.template.form import Form

KEYERS = 10
#: Pages of the keyers' job, and different ones among them.
_PAGES, _SHEETS = 300, 32
#: Every so manieth cell is doubtful; what is left of the model's certainty there.
_DOUBTFUL, _CERTAIN = 8, (0.5, 0.95)
#: Seconds of work before the measurement: a server that has just started knows no rows yet, and
#: looks at a finished job again after half a minute.
_WARM_UP = 40.0
#: Pages of the job that the worker reads again and again.
_READ = 200
_JOB, _OTHER, _SEED = "bench-k", "bench-k-read", 13

Written = Mapping[str, str]


def main(seconds: float, _: int) -> None:
    """Let them work for so many seconds, and keep the figures."""
    with pipeline.servers(engines=1) as running:
        record, truth = _doubtful_job(running)
        other = pipeline.upload(running, _OTHER, page_items(_READ), page_form())
        people = People(running.store)
        for name in _names():
            people.add(name, Role.KEYER, PASSWORD)
        people.add("supervisor", Role.SUPERVISOR, PASSWORD)
        with _desk(running) as (address, pid), pipeline.worker(running, 1) as worker:
            keyers = [
                Keyer(Browser(address, name), name, record.job, lambda n, f: truth[n][f])
                for name in _names()
            ]
            supervisor = Supervisor(Browser(address, "supervisor"), _pages(record.job))
            with _reading(running, other), watching({**worker, **running.pids}) as seen:
                found = _measure(keyers, supervisor, pid, seconds)
    found["cpu_others"] = {name: value / found["seconds"] for name, value in seen.seconds.items()}
    keep("K", found)
    say(str(brief(found)))


def _names() -> list[str]:
    return [f"keyer{number}" for number in range(KEYERS)]


def _pages(job: str) -> dict[str, str]:
    return {
        "jobs": "/jobs",
        "a job": f"/jobs/{job}",
        "rows of a job": f"/jobs/{job}/rows?status=review",
        "new job": "/jobs/new",
        "review": "/review",
        "review of a job": f"/review/{job}",
        "work": f"/review/{job}/work",
        "people and options": f"/review/{job}/supervise?who=keyer0",
        "templates": "/templates",
        "models": "/models",
    }


# --- the keyers' job -----------------------------------------------------------------------------


def _doubtful_job(running: pipeline.Servers) -> tuple[Job, Sequence[Written]]:
    """A finished job with its pages in the store, and what is written on each."""
    form = Form.load(ROOT / "bench/templates/ledger.yaml")
    made, items, truth = list[Row](), list[Item](), list[Written]()
    sheets = list(_sheets(form))
    for number in range(_PAGES):
        data, row, written = sheets[number % len(sheets)]
        source, digest = f"ledger_{number:04d}.jpg", sha256(data).hexdigest()
        items.append(Item(number, source, data=data, sha256=digest))
        made.append(replace(row, item=number, source=source, sha256=digest))
        truth.append(written)
    record = pipeline.upload(running, _JOB, iter(items), form)
    size = record.options.chunk_size or len(made)
    for number in range(record.chunks):
        part = made[number * size : (number + 1) * size]
        running.store.put(names.result(_JOB, number), rows.encode(part))
    running.store.put(names.name_pointer(_JOB), Name(_JOB, {1: _JOB}).encode())
    reconcile.finish(running.store, running.queue, record)
    return record, truth


def _sheets(form: Form) -> Iterator[tuple[bytes, Row, Written]]:
    """Pages, as read with doubts, and what is written."""
    recognizer, rng = Recognizer.load(ROOT / "models/pretrained"), np.random.default_rng(_SEED)
    for page in filled(form, "light", _SHEETS):
        cells = recognizer.cut(page.data, form)
        odds = np.array(recognizer.predictor.predict(cells.crops))
        chosen = rng.choice(len(odds), len(odds) // _DOUBTFUL, replace=False)
        certain = rng.uniform(*_CERTAIN, len(chosen)).astype(np.float32)[:, None]
        other = np.eye(odds.shape[1], dtype=np.float32)[rng.integers(0, 10, len(chosen))]
        odds[chosen] = certain * odds[chosen] + (1 - certain) * other
        row = recognizer.row(0, cells, form, odds)
        yield page.data, replace(row, form=form.name, form_hash=form.hash), page.want


# --- what runs -----------------------------------------------------------------------------------


@contextmanager
def _desk(running: pipeline.Servers) -> Iterator[tuple[str, int]]:
    """A desk server in a process of its own; yields its address and process id."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    settings = running.settings.model_copy(update={"cache_dir": running.folder / "cache"})
    with (running.folder / "desk.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "inkmill", "desk", "--port", str(port)],
            env={**os.environ, **settings.environment()},
            stdout=log,
            stderr=log,
        )
    try:
        while True:
            try:
                httpx.get(f"{address}/livez").raise_for_status()
                break
            except httpx.TransportError:
                if process.poll() is not None:
                    raise SystemExit("bench: the desk ended: see desk.log") from None
                time.sleep(0.1)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _reading(running: pipeline.Servers, record: Job) -> Iterator[None]:
    """A worker has this job to read, again and again, while the block runs."""
    stop = threading.Event()

    def read() -> None:
        with suppress(Exception):  # the worker is stopped before it is done
            while not stop.is_set():
                pipeline.run(running, record, {})

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    time.sleep(2.0)  # the first chunks are being read
    try:
        yield
    finally:
        stop.set()


def _measure(
    keyers: Sequence[Keyer], supervisor: Supervisor, pid: int, seconds: float
) -> dict[str, Any]:
    stop = threading.Event()
    people: list[Keyer | Supervisor] = [*keyers, supervisor]
    threads = [threading.Thread(target=each.run, args=[stop], daemon=True) for each in people]
    for each in threads:
        each.start()
    stop.wait(_WARM_UP)
    for person in people:
        person.browser.waits.clear()
    load, before, began = os.getloadavg()[0], _cpu(pid), time.perf_counter()
    entered = sum(each.entered for each in keyers)
    stop.wait(seconds)
    taken, after = time.perf_counter() - began, _cpu(pid)
    entered = sum(each.entered for each in keyers) - entered
    stop.set()
    for each in threads:
        each.join()
    waits: dict[str, list[float]] = {}
    for person in people:
        for kind, found in person.browser.waits.items():
            waits.setdefault(kind, []).extend(found)
        person.browser.close()
    screens = waits.pop("the next screen with all its pictures", [])
    whole = [each for found in waits.values() for each in found]
    return {
        "seconds": round(taken, 1),
        "keyers": len(keyers),
        "entered_a_minute": entered / taken * 60,
        "requests_a_second": len(whole) / taken,
        "waits": {
            kind: _spread(found)
            for kind, found in [("all requests", whole), *sorted(waits.items())]
        },
        "screens": _spread(screens),
        "cpu_ms_of_server_per_request": (after[0] - before[0]) / len(whole) * 1e3,
        "cpu_ms_of_cutting_per_screen": (after[1] - before[1]) / max(1, len(screens)) * 1e3,
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }


def _spread(waits: Sequence[float]) -> dict[str, float]:
    """How many there were, their median and 95th percentile in ms."""
    if not waits:
        return {"count": 0}
    p50, p95 = (round(percentile(waits, share) * 1e3, 1) for share in (0.5, 0.95))
    return {"count": len(waits), "p50_ms": p50, "p95_ms": p95}


def _cpu(pid: int) -> tuple[float, float]:
    """Processor seconds of the server so far, and of the processes that cut its pictures."""

    def used(process: psutil.Process) -> float:
        times = process.cpu_times()
        return times.user + times.system

    server = psutil.Process(pid)
    return used(server), sum(used(each) for each in server.children(recursive=True))
