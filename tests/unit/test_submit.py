"""What a submit makes of images and options, and how a job goes its way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names
from inkmill.errors import NotFinished, Unreachable, UsageError
from inkmill.lifecycle import reconcile
from inkmill.lifecycle.lookup import load_job
from inkmill.producer import Sending, results, status, submit, wait
from inkmill.records.pointer import Pointer
from tests.fakes import VERSION, FakeCluster, stored_items

Scans = Callable[..., Path]

# --- the whole way -----------------------------------------------------------------------------


def test_every_image_becomes_exactly_one_row_in_order(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(25), chunk_size=4, connection=cluster.connection)
    cluster.work()
    ended = wait(job, timeout=5, connection=cluster.connection)
    rows = list(results(job, connection=cluster.connection))
    assert [row.item for row in rows] == list(range(25))
    assert [row.source for row in rows] == [f"{number:03d}.png" for number in range(25)]
    assert (ended.state, ended.rows, ended.statuses["ok"]) == ("finished", 25, 25)


def test_the_images_travel_as_they_are(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(3)
    items = stored_items(cluster, submit(folder, connection=cluster.connection))
    assert [item.data for item in items] == [p.read_bytes() for p in sorted(folder.iterdir())]


def test_a_small_job_costs_three_objects_and_one_message(
    cluster: FakeCluster, scans: Scans
) -> None:
    before = {entry.key for entry in cluster.store.list("")}
    job = submit(scans(1), connection=cluster.connection)
    after = {entry.key for entry in cluster.store.list("")} - before
    assert after == {names.chunk(job, 0), names.job_record(job), names.open_marker(job)}
    assert cluster.queue.present() == {names.task_id(job, 0)}


def test_only_a_window_of_chunks_is_in_redis(scans: Scans) -> None:
    cluster = FakeCluster(window=3)
    job = submit(scans(20), chunk_size=1, connection=cluster.connection)
    assert cluster.queue.lengths()["normal"] == 3
    assert cluster.work() == 20
    assert status(job, connection=cluster.connection).state == "finished"


def test_numbers_without_cells_need_a_model_of_their_own(
    cluster: FakeCluster, scans: Scans
) -> None:
    bill = Path(__file__).parents[2] / "examples/bills/bill.yaml"
    with pytest.raises(UsageError, match="inkmill models publish --name strips"):
        submit(scans(1), form=bill, connection=cluster.connection)
    cluster.store.put(names.model_pointer("strips"), Pointer("cd" * 32, (), "now", "").encode())
    job = load_job(cluster.store, submit(scans(1), form=bill, connection=cluster.connection))
    assert (job.version, job.strips_model, job.strips_version) == (VERSION, "strips", "cd" * 32)
    plain = load_job(cluster.store, submit(scans(1), connection=cluster.connection))
    assert (plain.strips_model, plain.strips_version) == ("", "")
    chosen = submit(scans(1), form=bill, model="follow", connection=cluster.connection)
    followed = load_job(cluster.store, chosen)
    assert (followed.strips_model, followed.strips_version) == ("strips", "")


def test_the_priority_chooses_the_queue(cluster: FakeCluster, scans: Scans) -> None:
    submit(scans(1), priority="low", connection=cluster.connection)
    assert cluster.queue.lengths() == {"high": 0, "normal": 0, "low": 1}
    with pytest.raises(UsageError, match="high, normal, low"):
        submit(scans(1), priority="urgent", connection=cluster.connection)


def test_progress_tells_what_was_sent_and_passed_over(cluster: FakeCluster, scans: Scans) -> None:
    folder = scans(["1.png", "2.png", ".hidden.png", "truth.csv", "Thumbs.db"])
    (folder / "truth.csv").write_text("source,digit\n")
    seen: list[Sending] = []
    submit(
        folder,
        connection=cluster.connection,
        progress=lambda now: seen.append(dataclasses.replace(now)),
    )
    assert (seen[-1].items, seen[-1].chunks, seen[-1].sealed) == (2, 1, True)
    assert seen[-1].passed_over == {
        "hidden": 1,
        "tables and templates": 1,
        "left by the system": 1,
    }


# --- models ------------------------------------------------------------------------------------


class TestModels:
    def test_pinned_is_the_latest_at_submit(self, cluster: FakeCluster, scans: Scans) -> None:
        job = submit(scans(1), connection=cluster.connection)
        cluster.publish("cd" * 32)
        assert status(job, connection=cluster.connection).version == VERSION

    def test_follow_names_none(self, cluster: FakeCluster, scans: Scans) -> None:
        now = status(
            submit(scans(1), model="follow", connection=cluster.connection),
            connection=cluster.connection,
        )
        assert (now.policy, now.version) == ("follow", "")

    def test_a_version_by_its_first_digits(self, cluster: FakeCluster, scans: Scans) -> None:
        for version in ("cd" * 32, "cd" * 31 + "00"):
            cluster.store.put(names.model_manifest("digits", version), b"{}")
        cluster.store.put(names.model_weights("digits", "ef" * 32), b"not complete")
        job = submit(scans(1), model="cd" * 32, connection=cluster.connection)
        assert status(job, connection=cluster.connection).version == "cd" * 32
        for asked, words in (
            ("cd" * 4, "2 versions of model digits begin"),
            ("ef" * 4, "no version that begins"),
            ("cd", "first 4 digits"),
            ("newest", "pinned, follow, or a version"),
        ):
            with pytest.raises(UsageError, match=words):
                submit(scans(1), model=asked, connection=cluster.connection)

    def test_without_a_model_the_remedy_is_named(self, cluster: FakeCluster, scans: Scans) -> None:
        cluster.store.delete([names.model_pointer("digits")])
        with pytest.raises(UsageError, match="inkmill models publish"):
            submit(scans(1), connection=cluster.connection)


# --- Redis away --------------------------------------------------------------------------------


def test_without_redis_the_job_is_stored_and_the_way_on_is_told(
    cluster: FakeCluster, scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> int:
        raise Unreachable("Redis does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(cluster.queue, "offer", away)
        with pytest.raises(Unreachable, match="inkmill resume a` sends it"):
            submit(scans(10), name="a", chunk_size=2, connection=cluster.connection)
    assert status("a", connection=cluster.connection).state == "running"
    # Redis is back: the sweep of any worker finds the job by its marker.
    reconcile.sweep(cluster.store, cluster.queue, 0.01, force=True)
    assert cluster.work() == 5


def test_an_unfinished_job_gives_rows_only_when_asked(cluster: FakeCluster, scans: Scans) -> None:
    job = submit(scans(6), chunk_size=2, connection=cluster.connection)
    cluster.work(limit=2)
    with pytest.raises(NotFinished, match="1 of 3 chunks have no rows yet"):
        results(job, connection=cluster.connection)
    assert len(list(results(job, partial=True, connection=cluster.connection))) == 4
