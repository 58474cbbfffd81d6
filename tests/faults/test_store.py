"""An object store that fails, refuses, or gives back something else than was put in."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from inkmill import names
from inkmill.codes import Code, Status
from inkmill.errors import StoreDenied, Unreachable
from tests.faults import checker, workload
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome
from tests.faults.proxies import S3Proxy


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[S3Proxy]:
    """A way to the store that can go wrong; workers started with ``s3_endpoint=proxy.url``."""
    with S3Proxy(cluster.settings.s3_endpoint or "") as made:
        yield made


@pytest.mark.scenario(11)
def test_errors_and_silence_in_bursts(cluster: Cluster, found: Outcome, proxy: S3Proxy) -> None:
    (worker,) = cluster.start(faults=["decoder"], s3_endpoint=proxy.url)
    work = cluster.work(800, workload.marked(1, 800, "slow=0.02"))
    job = cluster.submit(work)
    before = psutil.Process(worker.pid).memory_info().rss
    for fault in (500, 503, "hang", "cut", 503):
        proxy.fail(fault)
        time.sleep(10)
        proxy.heal()
        began, so_far = time.monotonic(), cluster.results(job)
        checker.until(
            lambda: cluster.results(job) > so_far + 1 or cluster.done(job),  # noqa: B023
            60,
            "goes on",
        )
        found.struck(recovery=time.monotonic() - began)
    cluster.wait(job, 60)
    assert worker.poll() is None
    grown = psutil.Process(worker.pid).memory_info().rss - before
    found.note(f"the worker grew by {grown / 2**20:.0f} MiB; {proxy.struck} requests failed")
    assert grown < 200 * 2**20
    # No attempt counted against a chunk.
    assert list(cluster.store.list(names.attempts(job))) == []
    cluster.verify(job, work)


@pytest.mark.scenario(11)
@pytest.mark.parametrize("methods", ["GET", "PUT", "HEAD"])
def test_one_request_in_five_fails(
    cluster: Cluster, found: Outcome, proxy: S3Proxy, methods: str
) -> None:
    (worker,) = cluster.start(s3_endpoint=proxy.url)
    for fault in (500, "lost", "cut"):
        proxy.fail(fault, methods=methods, times=4)
    work = cluster.work(400)
    job = cluster.submit(work)
    found.struck(12, recovery=cluster.wait(job, 90))
    assert worker.poll() is None
    cluster.verify(job, work)


@pytest.mark.scenario(12)
@pytest.mark.parametrize("status", [403, 404], ids=["denied", "bucket gone"])
def test_refused_then_mended(cluster: Cluster, found: Outcome, proxy: S3Proxy, status: int) -> None:
    (worker,) = cluster.start(s3_endpoint=proxy.url, faults=["decoder"])
    work = cluster.work(200, workload.marked(1, 200, "slow=0.02"))
    job = cluster.submit(work)
    checker.until(lambda: cluster.results(job) > 0, 30, "chunks are read")
    proxy.fail(status)
    time.sleep(8)
    stuck = cluster.results(job)
    assert stuck < 10
    held = cluster.queue.client.hlen("inkmill:unacked") + sum(cluster.queue.lengths().values())
    assert held > 0  # the messages are kept
    assert "refuses" in cluster.words()
    with pytest.raises(StoreDenied, match="credentials"):
        cluster.submit_through(proxy.url, work, "refused")
    proxy.heal()
    found.struck(recovery=cluster.wait(job, 60))
    assert worker.poll() is None
    cluster.verify(job, work)


@pytest.mark.scenario(12)
def test_refused_when_the_worker_starts(cluster: Cluster, found: Outcome, proxy: S3Proxy) -> None:
    proxy.fail(403)
    (worker,) = cluster.start(s3_endpoint=proxy.url)
    work = cluster.work(40)
    job = cluster.submit(work)
    time.sleep(5)
    assert worker.poll() is None
    assert not cluster.done(job)
    proxy.heal()
    found.struck(recovery=cluster.wait(job, 60))
    cluster.verify(job, work)


@pytest.mark.scenario(13)
def test_an_upload_that_is_cut_off(cluster: Cluster, found: Outcome, proxy: S3Proxy) -> None:
    work = cluster.work(200)
    proxy.fail("cut", methods="PUT", part="/chunks/", times=6)
    try:
        job = cluster.submit_through(proxy.url, work, "cut-off")
    except Unreachable:
        job = cluster.submit_through(proxy.url, work, "cut-off")  # the user tries again
    (worker,) = cluster.start(s3_endpoint=proxy.url)
    proxy.fail("cut", methods="PUT", part="/results/", times=3)
    found.struck(proxy.struck, recovery=cluster.wait(job, 60))
    assert worker.poll() is None
    cluster.verify(job, work)


@pytest.mark.scenario(13)
@pytest.mark.parametrize("fault", ["flip", "shorten", "cut"])
def test_damage_on_the_way_is_seen_and_read_again(
    cluster: Cluster, found: Outcome, proxy: S3Proxy, fault: str
) -> None:
    (worker,) = cluster.start(s3_endpoint=proxy.url)
    work = cluster.work(200)
    job = cluster.submit(work)
    proxy.fail(fault, methods="GET", part=f"/{job}/", times=4)
    found.struck(4, recovery=cluster.wait(job, 60))
    assert worker.poll() is None
    cluster.verify(job, work)


def damage(cluster: Cluster, key: str, at: float) -> None:
    """Flip a bit of a stored object; its metadata stay, as they do when a disk fails."""
    client, bucket = cluster.store.client, cluster.store.bucket
    found = client.get_object(Bucket=bucket, Key=key)
    data = bytearray(found["Body"].read())
    data[int(len(data) * at)] ^= 16
    client.put_object(Bucket=bucket, Key=key, Body=bytes(data), Metadata=found["Metadata"])


@pytest.mark.scenario(13)
def test_a_bit_that_flips_in_the_store_costs_one_image(cluster: Cluster, found: Outcome) -> None:
    work = cluster.work(60)
    job = cluster.submit(work)
    damage(cluster, names.chunk(job, 1), 0.5)
    cluster.start()
    found.struck(recovery=cluster.wait(job, 60))
    rows = cluster.rows(job)
    bad = [row for row in rows.values() if row.status is Status.ERROR]
    assert [row.code for row in bad] == [Code.QUARANTINED]
    assert 20 <= bad[0].item < 40
    assert "damaged" in bad[0].message
    assert cluster.promise(job) == ()


@pytest.mark.scenario(13)
@pytest.mark.parametrize("how", ["unreadable", "gone", "two gone"])
def test_a_chunk_that_is_lost_has_error_rows(cluster: Cluster, found: Outcome, how: str) -> None:
    work = cluster.work(100)
    job = cluster.submit(work)
    lost = {1} if how != "two gone" else {1, 2}
    if how == "unreadable":
        damage(cluster, names.chunk(job, 1), 1 - 1e-9)  # its last byte: no Parquet any more
    else:
        cluster.store.delete([names.chunk(job, number) for number in lost])
    cluster.start()
    found.struck(recovery=cluster.wait(job, 60))
    rows = {row.item: row for row in cluster.promised_rows(job)}
    assert sorted(rows) == list(range(100))
    for item, row in rows.items():
        assert (row.code is Code.QUARANTINED) == (item // 20 in lost), row
    assert cluster.promise(job) == ()


@pytest.mark.scenario(13)
def test_a_damaged_job_record_harms_no_other_job(cluster: Cluster, found: Outcome) -> None:
    first, second = cluster.work(40, name="first"), cluster.work(40, name="second")
    broken = cluster.submit(first, name="a-broken-one")
    damage(cluster, names.job_record(broken), 0.5)
    cluster.queue.client.flushall()
    job = cluster.submit(second, name="b-sound-one")
    cluster.queue.client.flushall()  # only a sweep can bring it back
    (worker,) = cluster.start()
    found.struck(recovery=cluster.wait(job, 60))
    assert worker.poll() is None
    assert broken in cluster.words()
    cluster.verify(job, second)
