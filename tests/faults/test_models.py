"""Models that must not serve, and workers of two kinds at once."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import pytest

from inkmill import names
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.models.weights import ModelFiles
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome


def another(created: str, **changes: Any) -> ModelFiles:
    """The shipped model under another version, as one that was trained later would be."""
    files = load()
    manifest = dataclasses.replace(files.manifest, created=created, **changes)
    return dataclasses.replace(files, manifest=manifest)


def promote_by_force(cluster: Cluster, version: str) -> None:
    """The pointer as a broken tool would write it: nothing is checked."""
    key = names.model_pointer(cluster.settings.model)
    data = cluster.store.get(key).data
    old = Registry(cluster.store, cluster.settings.model).latest()
    assert old is not None
    cluster.store.put(key, data.replace(old.version.encode(), version.encode(), 1))


def put_model(cluster: Cluster, files: ModelFiles, leave_out: str = "") -> str:
    """A model's objects, put without the registry's checks; returns the version."""
    name, version = cluster.settings.model, files.manifest.version
    objects = {
        names.model_weights(name, version): files.weights,
        names.model_golden(name, version): files.golden,
        names.model_manifest(name, version): files.manifest.encode(),
    }
    for key, data in objects.items():
        if not leave_out or leave_out not in key:
            cluster.store.put(key, data)
    return version


def broken_models() -> dict[str, tuple[ModelFiles, str]]:
    """Models that must not serve; and an object that is not there."""
    whole = load()
    flipped = bytearray(whole.weights)
    flipped[len(flipped) // 2] ^= 64
    return {
        "half-way": (another("2031"), "weights"),
        "no manifest": (another("2032"), "manifest"),
        "corrupt": (dataclasses.replace(another("2033"), weights=bytes(flipped)), ""),
        "cut off": (dataclasses.replace(another("2034"), weights=whole.weights[:100_000]), ""),
        "wrong readings": (another("2035", temperature=3.0), ""),
    }


@pytest.mark.scenario(22)
def test_models_that_never_serve(cluster: Cluster, found: Outcome) -> None:
    (worker,) = cluster.start()
    good = Registry(cluster.store, cluster.settings.model).latest()
    assert good is not None
    for name, (files, leave_out) in broken_models().items():
        version = put_model(cluster, files, leave_out)
        promote_by_force(cluster, version)
        checker.until(lambda: version[:12] in cluster.words(), 15, f"{name}: refused")  # noqa: B023
        work = cluster.work(40, name=name.replace(" ", "-"))
        job = cluster.submit(work, model="follow")
        cluster.wait(job, 30)
        rows = cluster.verify(job, work)
        assert {row.model for row in rows.values()} == {good.version}, name
        found.struck()
        promote_by_force(cluster, good.version)
    assert worker.poll() is None


@pytest.mark.scenario(22)
def test_wrong_shapes_and_numbers_that_are_none(cluster: Cluster, found: Outcome) -> None:
    """Weights whose digests are right, made by a broken trainer."""
    import numpy as np
    from safetensors.numpy import load as read
    from safetensors.numpy import save

    registry = Registry(cluster.store, cluster.settings.model)
    tensors = read(load().weights)
    first = next(iter(tensors))
    wrong = {
        "shapes": {**tensors, first: np.zeros((3, 3, 1, 32), tensors[first].dtype)},
        "nan": {**tensors, first: np.full_like(tensors[first], np.nan)},
        "names": {f"x_{name}": value for name, value in tensors.items()},
    }
    (worker,) = cluster.start()
    good = registry.latest()
    assert good is not None
    for number, weights in enumerate(wrong.values()):
        data = save({name: np.ascontiguousarray(value) for name, value in weights.items()})
        files = another(f"204{number}", weights=load().manifest.weights.of(data))
        files = dataclasses.replace(files, weights=data)
        version = put_model(cluster, files)
        promote_by_force(cluster, version)
        checker.until(lambda: version[:12] in cluster.words(), 20, "refused")  # noqa: B023
        found.struck()
    work = cluster.work(40)
    job = cluster.submit(work, model="follow")
    cluster.wait(job, 30)
    rows = cluster.verify(job, work)
    assert {row.model for row in rows.values()} == {good.version}
    assert worker.poll() is None


@pytest.mark.scenario(22)
def test_two_trainers_publish_at_once(cluster: Cluster, found: Outcome) -> None:
    versions: list[str] = []

    def publish(year: int) -> None:
        mine = Registry(cluster.connection.store, cluster.settings.model)
        versions.append(mine.publish(another(str(year))))

    trainers = [threading.Thread(target=publish, args=(2050 + each,)) for each in range(4)]
    for each in trainers:
        each.start()
    for each in trainers:
        each.join()
    found.struck(len(versions))
    pointer = Registry(cluster.store, cluster.settings.model).latest()
    assert pointer is not None
    assert {pointer.version, *pointer.history} >= set(versions)
    assert len(versions) == 4


@pytest.mark.scenario(23)
def test_a_rolling_deploy_names_every_rows_model(cluster: Cluster, found: Outcome) -> None:
    registry = Registry(cluster.store, cluster.settings.model)
    old = registry.latest()
    assert old is not None
    workers = cluster.start(2, faults=["decoder"])
    work = cluster.work(800, workload.marked(1, 800, "slow=0.02"))
    pinned = cluster.submit(work, name="pinned")
    follow = cluster.submit(work, name="follow", model="follow")
    checker.until(lambda: cluster.results(follow) > 2, 30, "chunks are read")
    new = registry.publish(another("2060"))
    cluster.leave(workers[0])
    cluster.start(faults=["decoder"])
    began = time.monotonic()
    cluster.wait(follow, 120)
    cluster.wait(pinned, 120)
    found.struck(recovery=time.monotonic() - began)
    assert {row.model for row in cluster.verify(pinned, work).values()} == {old.version}
    rows = cluster.verify(follow, work)
    assert {row.model for row in rows.values()} == {old.version, new}
    by_chunk: dict[int, set[str]] = {}
    for row in rows.values():
        by_chunk.setdefault(row.item // 20, set()).add(row.model)
    assert all(len(models) == 1 for models in by_chunk.values())


@pytest.mark.scenario(23)
def test_an_old_worker_leaves_newer_objects_to_newer_workers(
    cluster: Cluster, found: Outcome
) -> None:
    """A record and messages of the next schema: put off or set aside, not given up."""
    (worker,) = cluster.start()
    work = cluster.work(40)
    job = cluster.submit(work, name="from-the-future")
    cluster.wait(job, 30)
    key = names.job_record(job)
    record = cluster.store.get(key).data
    cluster.store.delete([names.result(job, 0), names.result(job, 1), names.job_summary(job)])
    cluster.store.put(key, record.replace(b'"schema": 1', b'"schema": 2'))
    time.sleep(3.0)  # a worker knows a job's record for two seconds
    cluster.store.put(names.open_marker(job), b"")
    cluster.queue.send(job, 0, "normal")
    checker.until(lambda: "newer Inkmill" in cluster.words(), 20, "it is said")
    time.sleep(2 * cluster.settings.reconcile_interval)
    assert cluster.results(job) == 0
    assert worker.poll() is None
    cluster.store.put(key, record)  # the newer worker comes
    found.struck(recovery=cluster.wait(job, 30))
    cluster.verify(job, work)
