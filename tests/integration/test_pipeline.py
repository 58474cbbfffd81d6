"""The main job, as a user runs it: images in, one row each out, through real servers."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import S3Store
from inkmill.codes import Code, Status
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import export, results, status, submit, wait
from inkmill.settings import Settings
from tests.integration import images

Start = Callable[..., object]


@pytest.fixture
def model(store: S3Store, settings: Settings) -> str:
    """The shipped model, published; returns its version."""
    return Registry(store, settings.model).publish(load())


@pytest.mark.usefixtures("model")
def test_every_image_has_one_row_and_the_right_digit(
    tmp_path: Path, settings: Settings, store: S3Store, queue: Queue, start_workers: Start
) -> None:
    start_workers()
    folder = images.digits(tmp_path / "scans", 300)
    job = submit(folder, chunk_size=64, settings=settings)
    wait(job, timeout=60, settings=settings)

    rows = list(results(job, settings=settings))
    assert [row.source for row in rows] == [f"{n:05d}_{n % 10}.png" for n in range(300)]
    assert [row.digit for row in rows] == [str(n % 10) for n in range(300)]
    assert {row.model for row in rows} == {Registry(store, settings.model).find("latest")}
    # Nothing is left behind: no marker, no message, no hint.
    assert list(store.list(names.OPEN)) == []
    assert sum(queue.lengths().values()) == 0
    assert not queue.busy(job)
    # The acknowledgement follows the job's end by a moment.
    deadline = time.monotonic() + 5
    while queue.client.hlen("inkmill:unacked") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert queue.client.hlen("inkmill:unacked") == 0


@pytest.mark.usefixtures("model")
def test_bad_files_have_error_rows_and_their_neighbours_are_unharmed(
    tmp_path: Path, settings: Settings, start_workers: Start
) -> None:
    start_workers()
    folder = images.digits(tmp_path / "scans", 10)
    for name, data in images.odd_ones().items():
        (folder / f"odd_{name}").write_bytes(data)
    for name, (data, _) in images.bad_ones().items():
        (folder / f"bad_{name}").write_bytes(data)
    job = submit(folder, settings=settings)
    wait(job, timeout=60, settings=settings)

    rows = {row.source: row for row in results(job, settings=settings)}
    assert len(rows) == 10 + len(images.odd_ones()) + len(images.bad_ones())
    for name, (_, code) in images.bad_ones().items():
        row = rows[f"bad_{name}"]
        assert (row.status, row.code) == (Status.ERROR, Code(code)), row
        assert row.message
    read = {name: rows[f"odd_{name}"].digit for name in images.odd_ones()}
    assert read == dict.fromkeys(images.odd_ones(), "3")
    for number in range(10):
        assert rows[f"{number:05d}_{number}.png"].digit == str(number)


@pytest.mark.usefixtures("model")
def test_pages_of_documents_are_items_of_their_own(
    tmp_path: Path, settings: Settings, start_workers: Start
) -> None:
    from PIL import Image

    start_workers()
    pages = [Image.fromarray(images.paper(number)) for number in (7, 1, 4)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "pages.pdf", save_all=True, append_images=pages[1:], resolution=72)
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    files = [tmp_path / name for name in ("broken.pdf", "pages.pdf", "pages.tif")]
    job = submit(files, name="documents", chunk_size=2, settings=settings)
    wait(job, timeout=60, settings=settings)

    rows = list(results(job, settings=settings))
    assert [(Path(row.source).name, row.page) for row in rows] == [
        ("broken.pdf", 1),
        *((f"pages.{kind}", page) for kind in ("pdf", "tif") for page in (1, 2, 3)),
    ]
    assert rows[0].status is Status.ERROR
    assert [row.digit for row in rows[1:]] == ["7", "1", "4"] * 2


@pytest.mark.usefixtures("model")
def test_images_in_the_users_own_bucket_are_read_by_key(
    tmp_path: Path, settings: Settings, stack: object, start_workers: Start
) -> None:
    from inkmill.backends.store import open_store

    settings = settings.model_copy(update={"input_buckets": ("scans",)})
    theirs = open_store(settings.model_copy(update={"s3_bucket": "scans"}))
    theirs.create_bucket()
    for number in range(4):
        theirs.put(f"in/{number}.png", images.png(number))
    job = submit("s3://scans/in/", settings=settings)
    theirs.delete(["in/2.png"])  # vanishes between submit and reading
    start_workers(input_buckets=("scans",))
    wait(job, timeout=60, settings=settings)

    rows = list(results(job, settings=settings))
    assert [row.digit for row in rows] == ["0", "1", "", "3"]
    assert rows[2].code is Code.MISSING


@pytest.mark.usefixtures("model")
def test_a_flushed_redis_costs_time_and_nothing_else(
    tmp_path: Path, settings: Settings, queue: Queue, start_workers: Start
) -> None:
    folder = images.digits(tmp_path / "scans", 200)
    job = submit(folder, chunk_size=10, settings=settings)
    queue.client.flushall()
    start_workers()
    wait(job, timeout=60, settings=settings)

    rows = list(results(job, settings=settings))
    assert [row.digit for row in rows] == [str(n % 10) for n in range(200)]
    assert status(job, settings=settings).state == "finished"


@pytest.mark.usefixtures("model")
def test_the_table_has_the_columns_that_scripts_depend_on(
    tmp_path: Path, settings: Settings, start_workers: Start
) -> None:
    start_workers()
    job = submit(images.digits(tmp_path / "scans", 3), settings=settings)
    wait(job, timeout=60, settings=settings)
    export(job, tmp_path / "out.csv", settings=settings)

    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == [
        *("item", "source", "status", "code", "message"),
        *("digit", "confidence", "model", "precision"),
    ]
    assert [line["digit"] for line in table] == ["0", "1", "2"]


def test_a_new_model_comes_in_while_a_job_runs_and_a_bad_one_never_serves(
    tmp_path: Path,
    settings: Settings,
    store: S3Store,
    model: str,
    start_workers: Start,
) -> None:
    import dataclasses
    import time

    start_workers()
    registry = Registry(store, settings.model)
    folder = images.digits(tmp_path / "scans", 40)

    def read(policy: str, name: str) -> set[str]:
        job = submit(folder, name=name, model=policy, chunk_size=10, settings=settings)
        wait(job, timeout=60, settings=settings)
        rows = list(results(job, settings=settings))
        assert [row.digit for row in rows] == [str(n % 10) for n in range(40)]
        return {row.model for row in rows}

    # The same network under another version, as a retrained one would be.
    files = load()
    newer = dataclasses.replace(
        files, manifest=dataclasses.replace(files.manifest, created="2030-01-01T00:00:00+00:00")
    )
    second = registry.publish(newer)
    assert second != model
    began = time.monotonic()
    while read("follow", f"follow-{int(time.monotonic() * 1000)}") != {second}:
        assert time.monotonic() - began < 15
    assert read(model, "pinned-to-the-old") == {model}

    # A version whose weights do not make its golden readings is published by a broken tool.
    broken = dataclasses.replace(newer.manifest, created="2031", temperature=3.0)
    third = registry.publish(dataclasses.replace(newer, manifest=broken))
    time.sleep(3 * settings.model_poll_interval)
    assert third != second
    assert read("follow", "after-the-broken-one") == {second}
