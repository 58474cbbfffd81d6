"""The main job, as a user runs it: images in, one row each out, through real servers."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

from inkmill import names
from inkmill.backends.queue import Queue
from inkmill.backends.store import exists, open_store
from inkmill.codes import Code, Status
from inkmill.models.registry import Registry
from inkmill.producer import export, results, submit, wait
from inkmill.settings import Settings
from tests.fakes import png
from tests.faults import checker
from tests.integration import images
from tests.integration.processes import command

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_every_image_has_one_row_and_the_right_digit(tmp_path: Path, running: Settings) -> None:
    store, queue = open_store(running), Queue(running)
    folder = images.digits(tmp_path / "scans", 300)
    job = submit(folder, chunk_size=64, settings=running)
    wait(job, timeout=60, settings=running)

    rows = list(results(job, settings=running))
    assert [row.source for row in rows] == [f"{n:05d}_{n % 10}.png" for n in range(300)]
    assert [row.digit for row in rows] == [str(n % 10) for n in range(300)]
    assert {row.model for row in rows} == {Registry(store, running.model).find("latest")}
    # Nothing is left behind: no message, no hint; marker and acknowledgement follow the job's end
    # by a moment.
    assert sum(queue.lengths().values()) == 0
    assert not queue.busy(job)
    checker.until(lambda: not exists(store, names.open_marker(job)), 5, "the marker is gone")
    checker.until(lambda: not queue.client.hlen("inkmill:unacked"), 5, "all is acknowledged")


def test_bad_files_have_error_rows_and_their_neighbours_are_unharmed(
    tmp_path: Path, running: Settings
) -> None:
    folder = images.digits(tmp_path / "scans", 10)
    for name, data in images.odd_ones().items():
        (folder / f"odd_{name}").write_bytes(data)
    for name, (data, _) in images.bad_ones().items():
        (folder / f"bad_{name}").write_bytes(data)
    job = submit(folder, settings=running)
    wait(job, timeout=60, settings=running)

    rows = {row.source: row for row in results(job, settings=running)}
    assert len(rows) == 10 + len(images.odd_ones()) + len(images.bad_ones())
    for name, (_, code) in images.bad_ones().items():
        row = rows[f"bad_{name}"]
        assert (row.status, row.code) == (Status.ERROR, Code(code)), row
        assert row.message
    read = {name: rows[f"odd_{name}"].digit for name in images.odd_ones()}
    assert read == dict.fromkeys(images.odd_ones(), "3")
    for number in range(10):
        assert rows[f"{number:05d}_{number}.png"].digit == str(number)


def test_pages_of_documents_are_items_of_their_own(tmp_path: Path, running: Settings) -> None:
    from PIL import Image

    pages = [Image.fromarray(images.paper(number)) for number in (7, 1, 4)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "pages.pdf", save_all=True, append_images=pages[1:], resolution=72)
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    files = [tmp_path / name for name in ("broken.pdf", "pages.pdf", "pages.tif")]
    job = submit(files, name="documents", chunk_size=2, settings=running)
    wait(job, timeout=60, settings=running)

    rows = list(results(job, settings=running))
    assert [(Path(row.source).name, row.page) for row in rows] == [
        ("broken.pdf", 1),
        *((f"pages.{kind}", page) for kind in ("pdf", "tif") for page in (1, 2, 3)),
    ]
    assert rows[0].status is Status.ERROR
    assert [row.digit for row in rows[1:]] == ["7", "1", "4"] * 2


def test_the_table_has_the_columns_that_scripts_depend_on(
    tmp_path: Path, running: Settings
) -> None:
    job = submit(images.digits(tmp_path / "scans", 3), settings=running)
    wait(job, timeout=60, settings=running)
    export(job, tmp_path / "out.csv", settings=running)

    with (tmp_path / "out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == [
        *("item", "source", "status", "code", "message"),
        *("digit", "confidence", "model", "precision"),
    ]
    assert [line["digit"] for line in table] == ["0", "1", "2"]


def test_the_command_from_scans_to_table(tmp_path: Path, running: Settings) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:05d}.png").write_bytes(png(number))
    (folder / "notes.txt").write_text("no image")
    done = command(running, "submit", folder, "--name", "a", "--wait", "--strict")
    out, err = done.communicate(timeout=120)
    assert (done.returncode, out) == (3, "a\n"), err
    assert "Traceback" not in err
    table, _ = command(running, "results", "a").communicate(timeout=60)
    lines = list(csv.DictReader(io.StringIO(table)))
    assert len(lines) == 31
    assert lines[30]["code"] == "NOT_AN_IMAGE"
    # A few bright dots are no digit, but each has its row, with a confidence.
    assert all(line["status"] != "error" and line["confidence"] for line in lines[:30])
    example = subprocess.run(
        [sys.executable, EXAMPLES / "producer.py", folder],
        env={**os.environ, **running.environment()},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "31 rows:" in example.stdout
