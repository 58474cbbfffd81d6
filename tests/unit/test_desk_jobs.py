"""Jobs at the desk: the list, handing in, stopping, results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inkmill import results, status
from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.jobs.sources import check_source
from inkmill.desk.jobs.submits import SILENT_SECONDS, Choice, Submits
from inkmill.desk.people.roles import Role
from inkmill.errors import UsageError
from tests.fakes import FakeCluster, png, stored_items, tiff
from tests.unit.desk_visits import Visitor, visit
from tests.unit.form_pages import form
from tests.unit.test_review import NUMBER


@pytest.fixture
def context(cluster: FakeCluster) -> DeskContext:
    return DeskContext(cluster.connection)


@pytest.fixture
def supervisor(context: DeskContext) -> Visitor:
    return visit(context, Role.SUPERVISOR)


def drop(visitor: Visitor, files: dict[str, bytes], sizes: dict[str, int] | None = None) -> str:
    """Drop files as the page's script does; returns the submit's id."""
    headers = {"X-CSRF-Token": visitor.csrf, "Accept": "application/json"}
    answer = visitor.post("/jobs/submits", json={}, headers=headers)
    submit_id = str(answer.json()["submit"])
    for name, data in files.items():
        said = {**headers, "Content-Type": "application/octet-stream"}
        if sizes and name in sizes:
            said["X-File-Size"] = str(sizes[name])
        sent = visitor.put(
            f"/jobs/submits/{submit_id}/files", params={"name": name}, content=data, headers=said
        )
        assert sent.status_code == 200, sent.text
    return submit_id


def hand_in(visitor: Visitor, **fields: Any) -> Any:
    return visitor.post("/jobs/new", data={"csrf": visitor.csrf, **fields})


def ended() -> None:
    """Wait for the threads that submit."""
    for thread in threading.enumerate():
        if thread.name.startswith("submit-"):
            thread.join(30)


def test_dropped_files_become_a_job_with_a_row_for_each(
    cluster: FakeCluster, context: DeskContext, supervisor: Visitor
) -> None:
    files = {"a/1.png": png(1), "a/2.png": png(2), "two.tif": tiff(2), "no image.png": b"hello"}
    dropped = drop(supervisor, files)
    assert hand_in(supervisor, submit=dropped, name="monday").status_code == 200
    ended()
    cluster.work()
    sources = [
        (each.source, each.page) for each in results("monday", connection=cluster.connection)
    ]
    assert sources == [
        ("a/1.png", 1), ("a/2.png", 1), ("no image.png", 1), ("two.tif", 1), ("two.tif", 2),
    ]  # fmt: skip
    page = supervisor.get(f"/jobs/submits/{dropped}")
    assert page.url.path == "/jobs/monday"
    assert "NOT_AN_IMAGE" in page.text
    assert "no image.png" in supervisor.get("/jobs/monday/rows?code=NOT_AN_IMAGE").text
    assert Submits(context.store).count_files(dropped) == 0
    assert [deed.action for deed in context.trail.of_job(cluster.id("monday"), 10)][-1] == "submit"
    again = hand_in(supervisor, submit=dropped, name="monday")
    assert again.status_code == 400
    assert "nothing to submit" in again.text


def test_tables_of_keys_and_of_expected_sources_count(
    cluster: FakeCluster, supervisor: Visitor
) -> None:
    def submitted(keys: bytes) -> Any:
        dropped = drop(supervisor, {"1.png": png(1), "2.png": png(2)})
        files = {
            "template": ("own.yaml", form({"a": NUMBER}).to_text().encode()),
            "keys": ("keys.csv", keys),
            "expect": ("list.txt", b"1.png\n2.png\n3.png\n"),
        }
        data = {"csrf": supervisor.csrf, "submit": dropped, "name": "keyed"}
        return supervisor.post("/jobs/new", data=data, files=files)

    wrong = submitted(b"\xef\xbb\xbfsource,key\n1.png,\n")
    assert wrong.status_code == 400
    assert "--keys keys.csv, line 2: each line needs a source and a key" in wrong.text
    assert submitted(b"source,key\n1.png,k1\n2.png,k2\n").status_code == 200
    ended()
    items = [
        (each.source, each.document_key, str(each.code or ""))
        for each in stored_items(cluster, "keyed")
    ]
    assert items == [("1.png", "k1", ""), ("2.png", "k2", ""), ("3.png", "", "MISSING")]


def test_what_cannot_be_read_is_a_row_and_never_a_crash(
    cluster: FakeCluster, context: DeskContext, supervisor: Visitor
) -> None:
    bomb = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 99999"
    bomb += b"9999/Kids[2 0 R 2 0 R]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    huge = context.settings.max_file_bytes + 1
    dropped = drop(supervisor, {"bomb.pdf": bomb, "huge.png": b""}, {"huge.png": huge})
    hand_in(supervisor, submit=dropped, name="hostile")
    ended()
    cluster.work()
    codes = {
        each.source: str(each.code) for each in results("hostile", connection=cluster.connection)
    }
    assert codes["huge.png"] == "TOO_LARGE"
    assert codes["bomb.pdf"] in ("NOT_AN_IMAGE", "TRUNCATED", "TOO_LARGE", "TIMEOUT", "UNSUPPORTED")
    assert supervisor.get("/livez").text == "ok\n"


def test_a_body_larger_than_a_file_may_be_is_noted_and_not_kept(cluster: FakeCluster) -> None:
    context = DeskContext(FakeCluster(max_file_bytes=1000).connection)
    supervisor = visit(context, Role.SUPERVISOR)
    dropped = drop(supervisor, {"big.png": bytes(5000), "good.png": png(1)})
    (big,) = (each for each in Submits(context.store).files(dropped) if each.name == "big.png")
    assert (big.too_large, big.data) == (5000, b"")


@pytest.mark.parametrize("name", ["../up.png", "/etc/passwd", "", "a\0b", "x" * 300])
def test_a_name_that_leads_elsewhere_is_refused(supervisor: Visitor, name: str) -> None:
    dropped = drop(supervisor, {})
    sent = supervisor.put(
        f"/jobs/submits/{dropped}/files",
        params={"name": name},
        content=png(1),
        headers={"X-CSRF-Token": supervisor.csrf, "Content-Type": "application/octet-stream"},
    )
    assert sent.status_code == 400
    assert "file name" in sent.text


def test_a_wrong_choice_is_told_with_what_was_typed_still_there(supervisor: Visitor) -> None:
    dropped = drop(supervisor, {"1.png": png(1)})
    template = {"template": ("tally.yaml", b"form: [", "application/yaml")}
    answer = supervisor.post(
        "/jobs/new",
        data={"csrf": supervisor.csrf, "submit": dropped, "name": "tuesday"},
        files=template,
    )
    assert answer.status_code == 400
    assert "tally.yaml" in answer.text
    assert 'value="tuesday"' in answer.text
    assert dropped in answer.text
    assert "1 files are here already" in answer.text
    bad = hand_in(supervisor, submit=dropped, name="Not A Name")
    assert bad.status_code == 400
    assert "is not a job name" in bad.text


def test_a_folder_of_the_server_only_where_the_settings_allow_it(
    scans: Callable[..., Path], tmp_path: Path
) -> None:
    folder, other = scans(3, "inbox"), scans(1, "private")
    (folder / "out").symlink_to(other)
    cluster = FakeCluster(desk_sources=(str(folder), "s3://scans/in"))
    supervisor = visit(DeskContext(cluster.connection), Role.SUPERVISOR)
    for wrong in (str(other), f"{folder}/../private", f"{folder}/out", "/etc", f"{folder}/none"):
        answer = hand_in(supervisor, source=wrong, name="folder")
        assert answer.status_code == 400
        assert "may submit" in answer.text
    assert hand_in(supervisor, source=str(folder), name="folder").status_code == 200
    ended()
    cluster.work()
    rows = list(results("folder", connection=cluster.connection))
    assert {str(each.code) for each in rows} == {"None", "MISSING"}
    assert check_source("s3://scans/in/a", cluster.settings.desk_sources) == "s3://scans/in/a"
    for wrong in ("s3://scans/inside", "s3://other/in", "s3://scans"):
        with pytest.raises(UsageError, match="may submit"):
            check_source(wrong, cluster.settings.desk_sources)


def test_another_server_goes_on_where_one_died(
    cluster: FakeCluster, context: DeskContext, supervisor: Visitor
) -> None:
    dropped = drop(supervisor, {"1.png": png(1)})
    submits = Submits(context.store)
    found, etag = submits.get(dropped)
    running = replace(found, state="running", choice=Choice(name="left"), beat=time.time())
    running, etag = submits.change(running, etag)
    page = supervisor.get(f"/jobs/submits/{dropped}")
    assert "Submitting" in page.text
    busy = supervisor.post(f"/jobs/submits/{dropped}", data={"csrf": supervisor.csrf})
    assert busy.status_code == 400
    submits.change(running, etag, beat=time.time() - SILENT_SECONDS - 1)
    other = Visitor(create_app(context))
    other.sign_in("supervisor")
    assert "interrupted" in other.get("/jobs").text
    supervisor.post(f"/jobs/submits/{dropped}", data={"csrf": supervisor.csrf})
    ended()
    cluster.work()
    assert status("left", connection=cluster.connection).rows == 1
