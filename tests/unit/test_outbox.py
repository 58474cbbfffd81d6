"""When a job ends, whoever wants to know is told: at least once, and nobody else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inkmill import names
from inkmill.cli.checks.outbox import check_outbox
from inkmill.errors import SettingsError, UsageError
from inkmill.lifecycle import outbox, reconcile
from inkmill.lifecycle.lookup import read_record
from inkmill.producer import cancel, delete, submit
from inkmill.records.codec import MOST_ITEMS
from inkmill.records.notices import Waiting
from inkmill.settings import Settings
from inkmill.urls import origin
from inkmill.worker.outbox import Outbox
from tests.fakes import DyingStore, FakeCluster, Killed
from tests.receivers import Receiver, receiver

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()

Scans = Callable[..., Path]


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def cluster_for(
    hooks: Receiver, store: DyingStore | None = None, **settings: object
) -> FakeCluster:
    return FakeCluster(store, on_done_origins=(hooks.origin,), on_done_secret=SECRET, **settings)


def sender(cluster: FakeCluster) -> Outbox:
    return Outbox(cluster.settings, cluster.store, cluster.queue)


def waiting(cluster: FakeCluster) -> list[str]:
    return list(outbox.pending(cluster.store))


def test_a_webhook_is_signed_and_says_how_the_job_ended(scans: Scans, hooks: Receiver) -> None:
    cluster = cluster_for(hooks)
    target = f"{hooks.origin}/inkmill?team=7"
    submit(scans(3), name="a", on_done=target, connection=cluster.connection)
    assert waiting(cluster) == []
    cluster.work()
    sender(cluster).look()
    (request,) = hooks.received
    assert request.path == "/inkmill?team=7"
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}."
    digest = hmac.new(KEY, signed.encode() + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    event = json.loads(request.body)
    assert (event["id"], event["type"]) == (request.headers["webhook-id"], "job.finished")
    assert (event["data"]["job"], event["data"]["rows"]) == ("a", 3)
    assert event["data"]["statuses"] == {"ok": 3, "review": 0, "error": 0}
    assert waiting(cluster) == []


def test_the_setting_is_the_default_and_jobs_without_a_target_leave_nothing(
    scans: Scans, hooks: Receiver
) -> None:
    cluster = cluster_for(hooks, on_done=f"{hooks.origin}/all")
    submit(scans(2), name="told", connection=cluster.connection)
    submit(scans(2, "b"), name="quiet", on_done="", connection=cluster.connection)
    job = submit(scans(2, "c"), name="stopped", connection=cluster.connection)
    cancel(job, connection=cluster.connection)
    cluster.work()
    assert len(waiting(cluster)) == 2
    sender(cluster).look()
    told = {e["data"]["job"]: e["type"] for e in (json.loads(r.body) for r in hooks.received)}
    assert told == {"told": "job.finished", "stopped": "job.cancelled"}


def test_a_receiver_that_refuses_is_asked_again_with_the_same_id(
    scans: Scans, hooks: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = cluster_for(hooks)
    job = cluster.id(submit(scans(2), on_done=hooks.origin, connection=cluster.connection))
    cluster.work()
    hooks.statuses += [500, 302]  # a redirect is no answer, and is not followed
    mine, now = sender(cluster), time.time()
    mine.send(job, now)
    mine.send(job, now + 1)
    assert len(hooks.received) == 1, "not due yet"
    mine.send(job, now + outbox.PAUSES[0])
    assert len(hooks.received) == 2
    mine.send(job, now + outbox.PAUSES[0] + outbox.PAUSES[1])
    assert len(set(hooks.ids)) == 1
    assert [request.path for request in hooks.received] == ["/"] * 3
    assert waiting(cluster) == []
    assert "answered 500" in caplog.text


@pytest.mark.parametrize("gone", [True, False])
def test_a_notice_is_given_up_in_the_end(
    scans: Scans, hooks: Receiver, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    cluster = cluster_for(hooks)
    job = cluster.id(submit(scans(2), on_done=hooks.origin, connection=cluster.connection))
    cluster.work()
    hooks.statuses += [410 if gone else 500]
    sender(cluster).send(job, time.time() + (0 if gone else outbox.KEPT_SECONDS + 60))
    assert waiting(cluster) == []
    assert "is given up" in caplog.text


def test_a_record_that_somebody_else_wrote_reaches_no_other_place(
    scans: Scans, hooks: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver() as inside:
        cluster = cluster_for(hooks, on_done_command="touch /tmp/never")
        job = cluster.id(submit(scans(2), on_done=hooks.origin, connection=cluster.connection))
        cluster.work()
        record = read_record(cluster.store, job)
        mine, now = sender(cluster), time.time()
        allowed = hooks.origin.removeprefix("http://")
        for number, target in enumerate(
            (
                f"{inside.origin}/latest/meta-data",
                f"http://{allowed}@{inside.origin.removeprefix('http://')}/",
                f"{inside.origin}\\@{allowed}/",
                f"{inside.origin}#{allowed}",
                f"file://{allowed}/etc/passwd",
                "touch /tmp/written-by-a-record",
            )
        ):
            cluster.keep(replace(record, on_done=target))
            mine.send(job, now + number * 86_400 / 2)
            assert caplog.records[-1].getMessage().count("refused: ") == 1, target
        assert (inside.received, hooks.received) == ([], [])


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("https://elsewhere.example.org/x", "add it to INKMILL_ON_DONE_ORIGINS"),
        ("https://user:secret@hooks.example.org", "without user, password"),
        ("ftp://hooks.example.org", "not an http or https URL"),
        ("notify.sh", "the word command"),
    ],
)
def test_a_target_that_is_not_allowed_is_refused_at_submit(
    scans: Scans, target: str, words: str
) -> None:
    cluster = FakeCluster(on_done_origins=("https://hooks.example.org",))
    with pytest.raises(UsageError, match=words):
        submit(scans(1), on_done=target, connection=cluster.connection)
    assert not list(cluster.store.list(names.OPEN))


def test_the_operators_command_gets_the_notice(scans: Scans, tmp_path: Path) -> None:
    kept = tmp_path / "event.json"
    cluster = FakeCluster(on_done_command=f"tee {kept}", on_done="command")
    job = cluster.id(submit(scans(2), name="a", connection=cluster.connection))
    cluster.work()
    sender(cluster).look()
    assert json.loads(kept.read_text())["data"]["id"] == job
    assert waiting(cluster) == []


def test_a_command_that_fails_is_run_again(scans: Scans, caplog: pytest.LogCaptureFixture) -> None:
    cluster = FakeCluster(on_done_command="sh -c 'echo no room >&2; exit 3'", on_done="command")
    submit(scans(2), connection=cluster.connection)
    cluster.work()
    sender(cluster).look()
    assert len(waiting(cluster)) == 1
    assert "ended with code 3: no room" in caplog.text


@pytest.mark.parametrize("items", [2, 1])
def test_whatever_change_whoever_finishes_is_killed_at_the_notice_is_sent(
    scans: Scans, hooks: Receiver, items: int
) -> None:
    folder, killed = scans(items), 0
    for change in range(20):
        store = DyingStore()
        cluster = cluster_for(hooks, store, chunk_size=1)
        job = cluster.id(submit(folder, on_done=hooks.origin, connection=cluster.connection))
        before = len(hooks.received)
        store.arm(change)
        try:
            cluster.work()
            reconcile.sweep(store, cluster.queue, 0.01, force=True)
            sender(cluster).send(job)
        except Killed:
            killed += 1
        finished = change == killed
        store.arm(None)
        later = time.time() + outbox.PAUSES[0] + 1
        for _ in range(items + 1):  # another worker, or the one that is started again
            cluster.queue.client.flushall()
            reconcile.sweep(store, cluster.queue, 0.01, force=True)
            cluster.work()
        sender(cluster).send(job, later)
        got = hooks.ids[before:]
        assert got, f"killed at change {change}"
        assert len(set(got)) == 1, "told twice, and not by the same id"
        assert waiting(cluster) == []
        if finished:
            break
    assert killed >= 5


def test_a_job_that_is_read_again_ends_again(scans: Scans, hooks: Receiver) -> None:
    cluster = cluster_for(hooks)
    job = cluster.id(
        submit(scans(2), name="a", on_done=hooks.origin, connection=cluster.connection)
    )
    cluster.work()
    sender(cluster).look()
    cluster.store.put(names.open_marker(job), b'{"label": "a"}')
    cluster.store.delete([names.result(job, 0), names.job_summary(job)])
    time.sleep(0.01)
    reconcile.sweep(cluster.store, cluster.queue, 0.01, force=True)
    cluster.work()
    sender(cluster).send(job)
    assert len(set(hooks.ids)) == 2


def test_nothing_is_said_of_a_deleted_job(scans: Scans, hooks: Receiver) -> None:
    cluster = cluster_for(hooks)
    job = submit(scans(2), name="a", on_done=hooks.origin, connection=cluster.connection)
    cluster.work()
    delete(job, connection=cluster.connection)
    assert waiting(cluster) == []
    cluster.store.put(names.outbox("20260101-000000-0123456789abcdef"), b"{")
    cluster.store.put(f"{names.OUTBOX}NO JOB", b"")
    for _ in range(2):  # the first look mends the damaged one
        cluster.queue.client.flushall()
        sender(cluster).look()
    assert hooks.received == []
    assert waiting(cluster) == []


def test_the_worker_that_finished_a_job_sends_at_once_and_a_stopping_one_what_it_has(
    scans: Scans, hooks: Receiver
) -> None:
    cluster = cluster_for(hooks)
    job = cluster.id(submit(scans(2), on_done=hooks.origin, connection=cluster.connection))
    cluster.work()
    mine = sender(cluster)
    mine.start()
    mine.hurry(job)
    mine.close()
    assert len(hooks.received) == 1


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("INKMILL_ON_DONE_SECRET", "whsec_c2hvcnQ=", "24 to 64 bytes in Base64"),
        ("INKMILL_ON_DONE_SECRET", "secret", "must be whsec_"),
        ("INKMILL_ON_DONE_ORIGINS", "https://a.example.org/hooks", "leave out what follows it"),
        ("INKMILL_ON_DONE_ORIGINS", "a.example.org", "not an http or https URL"),
        ("INKMILL_ON_DONE_COMMAND", " ", "names no program"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        Settings.load({variable: value}, tmp_path)
    assert "c2hvcnQ" not in str(refused.value)


def test_origins_are_compared_as_browsers_do() -> None:
    assert origin("HTTPS://Hooks.Example.org:443/a?b") == "https://hooks.example.org"
    assert origin("http://[::1]:8080/") == "http://[::1]:8080"
    for wrong in ("https://", "https://a b.example.org", "https://a:x", "javascript:alert(1)"):
        with pytest.raises(ValueError):  # noqa: PT011  each with its own words
            origin(wrong)


def _lost(cluster: FakeCluster, job: str) -> None:
    cluster.store.put(names.job_record(job), b"{")


def _newer(cluster: FakeCluster, job: str) -> None:
    cluster.store.put(names.outbox(job), b'{"since": 1.0, "schema": 2, "more": 1}')


def _absurd(cluster: FakeCluster, job: str) -> None:
    cluster.store.put(names.outbox(job), Waiting(since=1.0, attempts=MOST_ITEMS).encode())


@pytest.mark.parametrize("spoil", [_lost, _newer, _absurd])
def test_one_notice_that_cannot_be_sent_holds_up_no_other(
    scans: Scans, hooks: Receiver, spoil: Callable[[FakeCluster, str], None]
) -> None:
    cluster = cluster_for(hooks)
    jobs = [submit(scans(2), on_done=hooks.origin, connection=cluster.connection) for _ in range(3)]
    cluster.work()
    for job in sorted(map(cluster.id, jobs))[:2]:
        spoil(cluster, job)
    sender(cluster).look()
    told = {json.loads(request.body)["data"]["id"] for request in hooks.received}
    assert sorted(map(cluster.id, jobs))[2] in told
    if spoil is _lost:  # what cannot be sent is given up in the end, as a refused one is
        for job in waiting(cluster):
            sender(cluster).send(job, time.time() + outbox.KEPT_SECONDS + 60)
        assert waiting(cluster) == []


def test_doctor_names_notices_that_nobody_takes(scans: Scans, hooks: Receiver) -> None:
    cluster = cluster_for(hooks)
    job = cluster.id(submit(scans(2), on_done=hooks.origin, connection=cluster.connection))
    cluster.work()
    (fresh,) = check_outbox(cluster.store)
    assert fresh.fine, "it was never tried yet, which is no trouble for half an hour"
    assert "1 notices are waiting" in fresh.seen
    hooks.statuses += [503]
    sender(cluster).send(job)
    held = Waiting.decode(cluster.store.get(names.outbox(job)).data, "")
    late = replace(held, since=held.since - 7200).encode()
    cluster.store.put(names.outbox(job), late)
    whole, mine = check_outbox(cluster.store)
    assert not whole.fine
    assert job in mine.seen
    assert "answered 503" in mine.seen
    assert "2.0 h ago" in mine.seen
    cluster.store.put(names.outbox(job), b"{")
    assert [line.fine for line in check_outbox(cluster.store)] == [True, False]
