"""Makes a folder of samples: ``python -m tests.samples v2``, once for each schema number.

The writers are the product's own; only the worker and Redis are stand-ins (`tests.fakes`).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from inkmill import names
from inkmill.backends import event_log
from inkmill.backends.queue.workers import Presence
from inkmill.codes import Code
from inkmill.desk.account import first_link
from inkmill.desk.context import DeskContext
from inkmill.desk.editor.draft import Draft, DraftPage
from inkmill.desk.editor.drafts import Drafts
from inkmill.desk.jobs.submits import Submits
from inkmill.desk.people.roles import Role
from inkmill.desk.review.tasks import GROUP, KEY, Options, keep_options
from inkmill.desk.review.work import Holder, JobReview
from inkmill.desk.training.asked import Outcome, PagesAgain, SetFigures, Trainings
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.models import training_images
from inkmill.models.registry import Registry
from inkmill.people import calibrate, compare
from inkmill.people.audit import draw
from inkmill.producer import cancel, purge, results, submit
from inkmill.producer.inputs.sources import Found
from inkmill.producer.watch.batches import WatchBatch
from inkmill.records import rows
from inkmill.records.chunks import Chunk
from inkmill.records.events import REVIEW, Event
from inkmill.records.evidence import AttemptMark, Evidence
from inkmill.records.messages import Delivery, Message
from inkmill.records.notices import Waiting
from inkmill.trainer.config import Config
from inkmill.trainer.runs import checkpoints
from inkmill.trainer.runs.queued import Ledger, QueuedRun
from inkmill.worker.chunk.isolation import IsolationState
from tests.fakes import VERSION, FakeCluster, png, tiff
from tests.samples import Sample, rows_of, save
from tests.unit.desk_jobs import codes_job
from tests.unit.form_jobs import finished_job, page_png
from tests.unit.form_pages import form, row
from tests.unit.strip_models import constant_model

_NEWER = "cd" * 32
_WHEN = 1_700_000_000.0


def _digits(cluster: FakeCluster, folder: Path) -> None:
    """Jobs of digits: finished, of one chunk, cancelled, still open; a watch's batch."""
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png(number))
    (folder / "pages.tif").write_bytes(tiff(3))
    (folder / "empty.png").write_bytes(b"")
    connection = cluster.connection
    submit(folder, name="digits", chunk_size=3, retention_days=30, connection=connection)
    submit(folder / "1.png", connection=connection)
    cluster.work()
    submit(folder, name="stopped", connection=connection)
    cancel("stopped", connection=connection)
    purge("stopped", ["reports"], connection=connection)
    waiting = submit(folder, name="waiting", chunk_size=4, connection=connection)
    _trouble(cluster, cluster.id(waiting))
    notice = Waiting(since=_WHEN, attempts=1, due=_WHEN + 60, error="503 Service Unavailable")
    cluster.store.put(names.outbox(cluster.id("digits")), notice.encode())
    found = Found("a.png", path=str(folder.name), size=3, changed="1")
    batch = WatchBatch.of([found])
    cluster.store.put(names.watch_batch("inbox", 0), batch.encode())
    cluster.store.put(names.watch_batch("inbox", 1), batch.mark_submitted().encode())


def _trouble(cluster: FakeCluster, job: str) -> None:
    """What workers write of a chunk that ends them."""
    store = cluster.store
    mark = AttemptMark("host/1", _WHEN, 2)
    store.put(names.attempt(job, 0, 2), mark.encode())
    state = IsolationState(in_hand=1, verdicts={0: (Code.CRASHED, "it ended")}, strikes={1: 1})
    store.put(names.suspect(job, 0), state.encode())
    evidence = Evidence.of(job, 0, _WHEN, {0: (Code.CRASHED, "it ended two engines")})
    store.put(names.quarantined(job, 0), evidence.encode())


def _forms(cluster: FakeCluster) -> None:
    """Jobs of forms with all that people did about them."""
    connection = cluster.connection
    job, template = codes_job(cluster)
    event_log.add(cluster.store, job, [Event(0, "code_0", "1231", "1237", "anna", _WHEN, REVIEW)])
    again = Chunk.decode(cluster.store.get(names.chunk(job, 0)).data).items[1]
    cluster.store.put(names.picture(job, again.item), page_png(9))
    fixed = next(iter(results(job, connection=connection)))
    cluster.store.put(names.fix(job, fixed.item), rows.encode([fixed]))
    keep_options(cluster.store, job, Options(second_share=0.5, screen=20))
    review, anna = JobReview(connection, job), Holder("anna", "tab")
    given = review.next(anna, (GROUP, KEY))
    assert given is not None
    review.confirm(given.ref, anna, {given.left[0].place: given.left[0].shown})
    review.comment(given.ref, anna, given.left[1].place, "smudged")
    calibrate.permit(connection, template, job, True)
    reconcile.finish(cluster.store, cluster.queue, load_job(cluster.store, job))
    list(results(job, connection=connection))
    _compared(cluster)


def _compared(cluster: FakeCluster) -> None:
    template = form({"a": "3|type: number, unused: leading"})
    old = finished_job(cluster, template, [row(template, 0, {"a": "_67"})], "old", file=tiff(1))
    newer = [row(template, 0, {"a": "_61"}, model=_NEWER)]
    new = finished_job(cluster, template, newer, "new")
    for job, version in ((old, VERSION), (new, _NEWER)):
        record = load_job(cluster.store, job)
        object.__setattr__(record, "version", version)
        cluster.store.put(names.job_record(job), record.encode())
    compare.compare(cluster.connection, old, new)
    draw(cluster.connection, load_job(cluster.store, old), 1, seed=1)


def _desk(cluster: FakeCluster) -> None:
    """People, a session, what was handed in, the trail, a draft and a saved template."""
    context, store = DeskContext(cluster.connection), cluster.store
    anna = context.people.add("anna", Role.ADMIN, "correct horse")
    context.sessions.begin(anna)
    first_link.make(context)
    context.trail.add("anna", "signed_in", address="192.0.2.1")
    context.trail.add("anna", "export", "csv", job=cluster.id("digits"))
    submits = Submits(store)
    submits.keep_file(submits.create("anna").id, "box 1/a.png", png(1))
    trainings = Trainings(store)
    asked = trainings.ask(job=cluster.id("digits"), label="digits", person="anna", count=12)
    figures = (SetFigures("mnist", 10_000, 0.99, 0.992),)
    again = PagesAgain("digits-r2", 3, 9, 1, 0, 2)
    outcome = Outcome(12, 3, "digits", "ef" * 32, "cd" * 32, figures, again)
    trainings.change(*trainings.get(asked.id), state="done", outcome=outcome)
    store.put(names.report(cluster.id("digits")), b"<!doctype html><title>digits</title>")
    drafts, template = Drafts(store), form({"a": "3|type: number, unused: leading"})
    drafts.save(template)
    draft = drafts.new_id()
    picture = drafts.keep(draft, page_png(3))
    page = DraftPage(number=1, picture=picture, size=(840, 1188), box=(0, 0, 210, 297))
    drafts.create(draft, Draft(template=template.content(), pages=(page,), person="anna"))


def _models(cluster: FakeCluster) -> None:
    """A model of some kilobytes, and a training that was interrupted."""
    version = Registry(cluster.store, "numbers").publish(constant_model("7"))
    images = training_images.encode([bytes(range(8))])
    cluster.store.put(names.model_training_images("numbers", version), images)
    config = Config.parse({"sources": [{"kind": "mnist", "path": "mnist"}]}, "sample")
    checkpoints.begin(cluster.store, "july", config, "ab" * 32)
    checkpoints.write(cluster.store, "july", 10, {"w": np.zeros(3, np.float32)})
    cluster.store.put(checkpoints.run_images("july"), images)
    checkpoints.write_result(cluster.store, "july", version, {"steps": 10})
    queued = QueuedRun(run="july", config=config.model_dump(mode="json"), publish="numbers")
    Ledger(cluster.store, silence=0.0).submit(queued)


def _redis(cluster: FakeCluster, job: str) -> dict[str, bytes]:
    queue = names.queue("normal")
    delivery = Delivery(job, 0, queue, "ab" * 8)
    presence = Presence(slots=5, seen=_WHEN, since=_WHEN - 60, process="ab" * 8)
    return {
        "message": Message(job, 0).entry(queue, "tag"),
        "delivery": delivery.encode(),
        "presence": presence.encode(),
    }


def make() -> Sample:
    """A bucket with one of everything."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = FakeCluster(cache_dir=Path(folder) / "cache")
        scans = Path(folder) / "scans"
        scans.mkdir()
        _digits(cluster, scans)
        _forms(cluster)
        _desk(cluster)
        _models(cluster)
        redis = _redis(cluster, cluster.id("waiting"))
        return Sample(cluster.store, redis, rows_of(cluster.connection))


if __name__ == "__main__":
    save(sys.argv[1], make())
