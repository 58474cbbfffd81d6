"""`make soak`: jobs under random faults for as long as asked, then the verdict on each.

Workers and engines are killed, frozen and told to leave; Redis is killed, emptied and filled
with rubbish; S3 fails in bursts; connections fall silent. Run as ``python -m tests.faults.soak
[MINUTES] [SEED]``.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from inkmill.backends.store import open_store
from inkmill.codes import Code
from inkmill.local.servers import Stack
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from tests.faults import outcome, workload
from tests.faults.calm import calm_run
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome
from tests.faults.proxies import S3Proxy, TcpProxy

_WORKERS = 2
_ITEMS = 600
#: Longest pause between two faults, in seconds: two starts of an engine on a busy machine.
_BREATH = 40.0


class Soak:
    """A cluster whose workers reach their servers through proxies, and what is done to it."""

    def __init__(self, cluster: Cluster, s3: S3Proxy, redis: TcpProxy, seed: int) -> None:
        self.cluster, self.s3, self.redis = cluster, s3, redis
        self.chance = random.Random(seed)
        self.near: dict[str, Any] = {
            "s3_endpoint": s3.url,
            "redis_url": cluster.settings.redis_url.replace(
                str(cluster.redis_port), str(redis.port)
            ),
        }
        self.workers = [self._start() for _ in range(_WORKERS)]

    def _start(self) -> subprocess.Popen[bytes]:
        (worker,) = self.cluster.start(faults=["decoder"], ready=False, **self.near)
        return worker

    def faults(self) -> list[Callable[[], None]]:
        """All that may happen."""
        return [
            *(self.kill_worker, self.kill_engine, self.leave, self.freeze),
            *(self.restart_redis, self.flush, self.rubbish, self.silence, self.store_fails),
        ]

    def kill_worker(self) -> None:
        number = self.chance.randrange(len(self.workers))
        self.cluster.kill(self.workers[number])
        self.workers[number] = self._start()

    def kill_engine(self) -> None:
        worker = self.chance.choice(self.workers)
        for engine in psutil.Process(worker.pid).children():
            engine.kill()

    def leave(self) -> None:
        number = self.chance.randrange(len(self.workers))
        self.cluster.leave(self.workers[number])
        self.workers[number] = self._start()

    def freeze(self) -> None:
        worker = self.chance.choice(self.workers)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(1, 15))
        worker.send_signal(signal.SIGCONT)

    def restart_redis(self) -> None:
        self.cluster.stack.kill("redis")
        time.sleep(self.chance.uniform(0, 5))
        self.cluster.stack.start_redis()
        self.cluster.stack.wait_until_ready()

    def flush(self) -> None:
        self.cluster.queue.client.flushall()

    def rubbish(self) -> None:
        self.cluster.queue.client.lpush("inkmill.normal", self.chance.randbytes(40))

    def silence(self) -> None:
        self.redis.swallow()
        time.sleep(self.chance.uniform(1, 10))
        self.redis.heal()

    def store_fails(self) -> None:
        troubles: list[int | str] = [500, 503, "cut", "lost", 403]
        self.s3.fail(self.chance.choice(troubles))
        time.sleep(self.chance.uniform(1, 8))
        self.s3.heal()

    def breathe(self, job: str) -> None:
        """The next fault comes when something was read since this one, or after a while: a
        worker that is killed before it is ready, again and again, can do nothing."""
        before, ends = self.cluster.results(job), time.monotonic() + _BREATH
        while self.cluster.results(job) == before and time.monotonic() < ends:
            time.sleep(0.5)
        time.sleep(self.chance.uniform(0, 3))

    def check(self) -> None:
        """No worker ends by itself, whatever befalls its servers."""
        for worker in self.workers:
            words = f"a worker ended with {worker.returncode}: {self.cluster.words()[-3000:]}"
            assert worker.poll() is None, words


def run(cluster: Cluster, minutes: float, seed: int, found: Outcome) -> None:
    """Faults for so long, with a job always under way; then every job is judged."""
    marks = {**workload.marked(7, _ITEMS, "slow=0.02"), 100: ("segv", Code.CRASHED)}
    work = cluster.work(_ITEMS, marks)
    with (
        S3Proxy(cluster.settings.s3_endpoint or "") as s3,
        TcpProxy(cluster.redis_port) as redis,
    ):
        soak = Soak(cluster, s3, redis, seed)
        jobs, verified = list[str](), 0
        ends = time.monotonic() + minutes * 60
        while time.monotonic() < ends:
            if not jobs:
                jobs.append(cluster.submit(work, name=f"soak-{verified}"))
            fault = soak.chance.choice(soak.faults())
            fault()
            found.struck()
            print(f"{fault.__name__}: {cluster.results(jobs[0])} chunks of {jobs[0]}", flush=True)
            soak.breathe(jobs[0])
            soak.check()
            if cluster.done(jobs[0]):
                cluster.verify(jobs.pop(), work)
                verified += 1
        began = time.monotonic()
        for job in jobs:
            cluster.wait(job, 180)
            cluster.verify(job, work)
            verified += 1
        found.recovery.append(round(time.monotonic() - began, 1))
    found.passed = 1
    rows = verified * _ITEMS
    found.note(f"{minutes:g} minutes, seed {seed}: {verified} jobs, {rows:,} rows, none wrong")


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)
    found = Outcome(29)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "stack") as stack:
        calm = calm_run(stack, Path(folder) / "calm")
        settings = stack.settings.model_copy(update={"s3_bucket": "soak"})
        store = open_store(settings)
        store.create_bucket()
        Registry(store, settings.model).publish(load())
        own = Path(folder) / "soak"
        own.mkdir()
        cluster = Cluster(stack, settings, own, calm)
        try:
            run(cluster, minutes, seed, found)
        except BaseException as error:
            found.failed.append(f"seed {seed}: {type(error).__name__}")
            Path("build").mkdir(exist_ok=True)
            Path("build/soak.log").write_text(cluster.words())
            raise
        finally:
            cluster.close()
            outcome.save({29: found})


if __name__ == "__main__":
    main()
