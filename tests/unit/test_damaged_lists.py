"""One object that cannot be read keeps nobody from the others.

Each object of the stored samples is damaged in turn, and everything that looks at many things is
asked again: it must not fail, and must still show what the damaged object is no part of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inkmill import names
from inkmill.cli.checks.outbox import check_outbox
from inkmill.cli.damaged_records import damaged_records
from inkmill.desk.context import DeskContext
from inkmill.desk.editor.drafts import Drafts
from inkmill.desk.jobs.submits import Submits
from inkmill.desk.training.asked import Trainings
from inkmill.lifecycle import retention
from inkmill.lifecycle.reconcile import sweep
from inkmill.people import calibrate
from inkmill.producer import jobs, overview
from inkmill.producer.model_choice import jobs_read_with
from inkmill.producer.quarantine import given_up
from inkmill.records.jobs import Job
from inkmill.template.form import Form
from inkmill.trainer.runs import listing
from inkmill.worker.outbox import Outbox
from tests.fakes import FakeCluster
from tests.samples import VERSIONS, Sample, load

DAMAGES = (b"[]", b'{"schema": 99, "inkmill_model": 99, "inkmill_run": 99}', b"\xff\xfe")


def _calibrated(cluster: FakeCluster) -> Iterable[str]:
    for key in sorted(entry.key for entry in cluster.store.list(names.FORMS)):
        form = Form.parse(cluster.store.get(key).data.decode(), key)
        yield calibrate._job(cluster.connection, form, None).job


def _read_by(cluster: FakeCluster) -> Iterable[str]:
    versions = {each.version for each in jobs(connection=cluster.connection)}
    for version in versions:
        yield from (job.job for job in jobs_read_with(cluster.store, "digits", version))


def _sent(cluster: FakeCluster) -> Iterable[str]:
    Outbox(cluster.settings, cluster.store, cluster.queue).look()
    return ()


def _to_the_end(looked: Iterable[object]) -> Iterable[str]:
    """Nothing is listed; that it does not fail is what counts."""
    list(looked)
    return ()


#: What looks at many things, and the ids that it shows.
LOOKS: dict[str, Callable[[FakeCluster], Iterable[Any]]] = {
    "jobs": lambda cluster: (each.id for each in jobs(connection=cluster.connection)),
    "top": lambda cluster: (each.id for each in overview.overview(cluster.connection).jobs),
    "doctor": lambda cluster: _to_the_end(damaged_records(cluster.store, "digits")),
    "doctor's outbox": lambda cluster: _to_the_end(check_outbox(cluster.store)),
    "quarantine": lambda cluster: (each.job for each in given_up(connection=cluster.connection)),
    "rollback": _read_by,
    "runs": lambda cluster: (each.name for each in listing.runs(cluster.store)),
    "people": lambda cluster: (each.name for each in DeskContext(cluster.connection).people.all()),
    "drafts": lambda cluster: (each.id for each in Drafts(cluster.store).all()),
    "submits": lambda cluster: (each.id for each in Submits(cluster.store).unfinished()),
    "trainings": lambda cluster: (each.id for each in Trainings(cluster.store).all()),
    "expiry": lambda cluster: _to_the_end([retention.expire(cluster.store, cluster.queue, 0.0)]),
    "sweep": lambda cluster: _to_the_end([sweep(cluster.store, cluster.queue, 1.0, force=True)]),
    "outbox": _sent,
}


def look(sample: Sample, cache: Path) -> dict[str, set[str]]:
    cluster = FakeCluster(sample.store, cache_dir=cache)
    return {what: set(map(str, found(cluster))) for what, found in LOOKS.items()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_object_hides_no_other(damage: bytes, tmp_path: Path) -> None:
    before = look(load(VERSIONS[-1]), tmp_path)
    assert all(before[what] for what in ("jobs", "top", "rollback", "runs", "people"))
    keys = [key for key in load(VERSIONS[-1]).objects() if not key.endswith((".parquet", ".png"))]
    for key in keys:
        sample = load(VERSIONS[-1])
        sample.store.put(key, damage)
        after = look(sample, tmp_path)
        for what, ids in before.items():
            gone = {each for each in ids - after[what] if each not in key}
            assert not gone, f"{key} damaged: {what} no longer shows {gone}"


def test_a_job_whose_template_is_none_hides_no_other(tmp_path: Path) -> None:
    before = look(load(VERSIONS[-1]), tmp_path)
    sample = load(VERSIONS[-1])
    key = names.job_record("tally")
    record = Job.decode(sample.store.get(key).data)
    sample.store.put(key, replace(record, form="inkmill_form: 99").encode())
    after = look(sample, tmp_path)
    for what, ids in before.items():
        assert ids - after[what] <= {"tally"}, what
    assert any(key in line for line in damaged_records(sample.store, "digits"))
