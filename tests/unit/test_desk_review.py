"""The addresses of review: what the page at which people work asks, and who may ask it."""

from __future__ import annotations

import base64
import html
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inkmill.codes import Code, Status
from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.desk.review.requests import Reviews
from inkmill.desk.review.tasks import Options, load_options
from inkmill.producer import results
from inkmill.records.rows import Row
from tests.fakes import FakeCluster
from tests.unit.desk_jobs import codes_job, sums_job
from tests.unit.desk_visits import PASSWORD, Visitor
from tests.unit.form_jobs import finished_job
from tests.unit.form_pages import form


class Reviewer:
    """A person at a browser that speaks HTTP only, at the review of one job."""

    def __init__(self, app: Any, name: str, job: str) -> None:
        self.client = Visitor(app)
        self.client.sign_in(name)
        self.job = job
        self.name = name

    def post(self, path: str, **body: Any) -> Any:
        headers = {"X-CSRF-Token": self.client.csrf, "Accept": "application/json"}
        return self.client.post(
            f"/review/{self.job}/{path}", json={"tab": self.name, **body}, headers=headers
        )

    def form(self, path: str, **values: object) -> Any:
        sent = {"csrf": self.client.csrf, **values}
        return self.client.post(f"/review/{self.job}/{path}", data=sent)

    def get(self, path: str = "") -> Any:
        return self.client.get(f"/review/{self.job}{path}")


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(cache_dir=tmp_path / "cache")


@pytest.fixture
def context(cluster: FakeCluster) -> DeskContext:
    made = DeskContext(cluster.connection)
    roles = {"anna": Role.KEYER, "ben": Role.SECOND}
    for name, role in {**roles, "sue": Role.SUPERVISOR, "sam": Role.SUPERVISOR}.items():
        made.people.add(name, role, PASSWORD)
    return made


@pytest.fixture
def app(context: DeskContext) -> Iterator[Any]:
    made = create_app(context)
    made.state.reviews = Reviews(context.connection)
    yield made
    made.state.reviews.close()


def test_a_group_is_shown_with_its_pictures_and_confirmed(cluster: FakeCluster, app: Any) -> None:
    job, _ = codes_job(cluster, pages=3)
    anna = Reviewer(app, "anna", job)
    assert f'data-job="{job}"' in anna.get("/work").text
    task = anna.post("next").json()
    assert (task["kind"], task["digit"], len(task["fields"])) == ("group", "7", 6)
    picture = anna.client.get(task["fields"][0]["picture"])
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(picture.content)).height == 96
    page = anna.client.get(task["fields"][0]["around"])
    assert Image.open(BytesIO(page.content)).format == "JPEG"
    digits = ["1", "", "", "", "skip", "?"]
    cells = [
        {"item": each["item"], "field": each["field"], "digit": digit}
        for each, digit in zip(task["fields"], digits, strict=True)
    ]
    wrong = anna.post("confirm", task=task["task"], cells=[{**cells[0], "digit": "17"}])
    assert wrong.status_code == 400
    assert "'17' is not a digit" in wrong.json()["error"]
    assert anna.post("confirm", task=task["task"], cells=cells).json()["late"] == ""
    held = {
        (row.item, each.name): (each.value, str(each.status))
        for row in results(job, connection=cluster.connection)
        for each in row.fields
    }
    by_turn = [held[each["item"], each["field"]] for each in task["fields"]]
    assert by_turn == [("1231", "ok"), *[("1237", "ok")] * 3, ("1237", "review"), ("", "review")]
    assert anna.post("next").json()["kind"] == "key"  # the cell that was left for later


def test_a_picture_is_cut_once_however_many_ask(
    cluster: FakeCluster, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = codes_job(cluster, pages=3)
    anna = Reviewer(app, "anna", job)
    shelf, cut = app.state.reviews.pictures, Counter[str]()
    real = shelf.cutter.cut

    def counting(data: bytes, page: int, form: str, views: Any) -> Any:
        cut.update(f"{hash(data)} {each}" for each in views)
        return real(data, page, form, views)

    monkeypatch.setattr(shelf.cutter, "cut", counting)
    addresses = [each["picture"] for each in anna.post("next").json()["fields"]]
    with ThreadPoolExecutor(6) as together:  # while they are cut ahead
        found = list(together.map(anna.client.get, addresses * 3))
    assert {each.status_code for each in found} == {200}
    assert len(cut) == len(addresses)
    assert set(cut.values()) == {1}


def test_a_field_is_large_enough_to_key_from(cluster: FakeCluster, app: Any) -> None:
    job, _ = sums_job(cluster, pages=1)
    anna = Reviewer(app, "anna", job)
    task = anna.post("next").json()
    picture = Image.open(BytesIO(anna.client.get(task["fields"][0]["picture"]).content))
    # The first cell of the first field is black: as high as a digit's cell.
    dark = np.asarray(picture.convert("L")) < 128
    assert dark.any(axis=1).sum() >= 60
    first = task["fields"][0]
    asked = {"item": first["item"], "field": first["field"]}
    told = anna.post("check", task=task["task"], values=[{**asked, "text": "68"}]).json()
    assert "68 + 41 is 109" in told["problems"][0]["message"]
    refused = anna.post("answer", task=task["task"], **asked, text="12345")
    assert "longer than its 3 cells" in refused.json()["error"]
    assert anna.post("answer", task=task["task"], **asked, text="67").json()["left"] == []


def test_masked_jobs_show_keyers_no_page(cluster: FakeCluster, app: Any) -> None:
    job, _ = sums_job(cluster, pages=1)
    sue, anna = Reviewer(app, "sue", job), Reviewer(app, "anna", job)
    assert sue.form("options", masked="on", hidden="on", screen="40", second_share="0").is_success
    task = anna.post("next").json()
    assert task["blind"]
    field = task["fields"][0]
    assert (field["around"], field["read"], field["shown"], field["proposed"]) == ("",) * 4
    refused = anna.client.get(f"{field['picture']}/around")
    assert refused.status_code == 403
    assert "shows keyers its fields only" in refused.text
    assert sue.client.get(f"{field['picture']}/around").status_code == 200


def test_a_keyer_gets_no_tasks_of_a_second_and_no_supervisors_page(
    cluster: FakeCluster, app: Any
) -> None:
    job, _ = sums_job(cluster, good=5)
    sue, anna, ben = (Reviewer(app, name, job) for name in ("sue", "anna", "ben"))
    assert "5 accepted fields" in sue.form("audit", count="5").text
    assert anna.post("next", kinds=["audit"]).json() == {"task": None}
    assert ben.post("next", kinds=["audit"]).json()["kind"] == "audit"
    assert anna.get("/supervise").status_code == 403
    assert sue.form("audit", count="many").status_code == 400


def test_a_supervisor_sees_who_did_what_and_sends_it_back(cluster: FakeCluster, app: Any) -> None:
    job, _ = sums_job(cluster, pages=2)
    sue, anna, ben = (Reviewer(app, name, job) for name in ("sue", "anna", "ben"))
    task = anna.post("next").json()
    asked = {"item": task["fields"][0]["item"], "field": "a"}
    anna.post("remark", task=task["task"], **asked, kind="comment", text="a blot")
    anna.post("answer", task=task["task"], **asked, text="61")
    page = sue.get("/supervise?who=anna").text
    assert "a blot" in page
    assert "Entries of anna" in page
    assert "1 entries of anna were sent back" in sue.form("send-back", who="anna", **asked).text
    anna.post("renew", task=task["task"], release=True)
    again = ben.post("next").json()
    assert [each["field"] for each in again["fields"]] == ["a", "b"]
    assert ben.post("answer", task=again["task"], **asked, text="67").json() == {
        "value": "67",
        "left": [],
        "late": "",
    }
    flagged = ben.post("next").json()
    item = flagged["fields"][0]["item"]
    ben.post(
        "remark", task=flagged["task"], item=item, field="", kind="flagged", text="upside down"
    )
    assert "upside down" in sue.get("/supervise").text
    assert "reviewed again" in sue.form("clear", item=item).text


def test_a_task_is_taken_from_one_person_and_given_to_another(
    cluster: FakeCluster, app: Any
) -> None:
    job, _ = sums_job(cluster, pages=2)
    sue, anna, ben = (Reviewer(app, name, job) for name in ("sue", "anna", "ben"))
    task = anna.post("next").json()
    asked = {key: task["fields"][0][key] for key in ("item", "field")}
    assert "<option>ben</option>" in sue.get("/supervise").text
    said = sue.form("reassign", task=task["task"], to="ben").text
    assert f"Task {task['task']}, which anna had, goes to ben." in said
    assert anna.post("renew", task=task["task"]).json() == {"late": "ben"}
    late = anna.post("answer", task=task["task"], **asked, text="61").json()
    assert late["late"] == "ben"
    assert "Late answers" in sue.get("/supervise").text
    other = anna.post("next").json()["task"]
    assert other != task["task"]
    assert ben.post("next").json()["task"] == task["task"]
    assert ben.post("answer", task=task["task"], **asked, text="67").json()["late"] == ""
    refused = sue.form("reassign", task=other, to="nobody")
    assert (refused.status_code, "choose somebody of the list" in refused.text) == (400, True)
    refused = sue.form("reassign", task="9-9", to="ben")
    assert (refused.status_code, "obody has task" in refused.text) == (400, True)
    assert "reassign" in sue.client.get(f"/jobs/{job}").text


def test_a_task_goes_to_whoever_asks_next(cluster: FakeCluster, app: Any) -> None:
    job, _ = sums_job(cluster, pages=1)
    sue, anna, ben = (Reviewer(app, name, job) for name in ("sue", "anna", "ben"))
    task = anna.post("next").json()["task"]
    assert ben.post("next").json() == {"task": None}
    sue.form("reassign", task=task, to="")
    assert ben.post("next").json()["task"] == task


def test_two_supervisors_change_the_options_and_neither_loses_them(
    cluster: FakeCluster, app: Any
) -> None:
    job, _ = sums_job(cluster, pages=1)
    sue, sam = Reviewer(app, "sue", job), Reviewer(app, "sam", job)

    def etag(page: Any) -> str:
        (found,) = re.findall(r'name="etag" value="([^"]*)"', page.text)
        return html.unescape(found)

    first = etag(sue.get("/supervise"))
    stored = sue.form("options", etag=first, second_share="10", screen="40")
    assert "The options are stored" in stored.text
    refused = sam.form("options", etag=first, second_share="0", second_fields="b", screen="20")
    assert refused.status_code == 409
    assert "Stored by now: 10.0 % keyed a second time" in html.unescape(refused.text)
    assert 'name="second_fields" value="b"' in refused.text
    assert load_options(cluster.store, job) == Options(second_share=0.1)
    again = sam.form("options", etag=etag(refused), second_fields="b", screen="20")
    assert again.status_code == 200
    assert load_options(cluster.store, job) == Options(second_fields=("b",), screen=20)


def test_two_supervisors_send_the_same_entry_back_and_it_counts_once(
    cluster: FakeCluster, app: Any
) -> None:
    job, _ = sums_job(cluster, pages=1)
    sue, sam, anna = (Reviewer(app, name, job) for name in ("sue", "sam", "anna"))
    task = anna.post("next").json()
    asked = {key: task["fields"][0][key] for key in ("item", "field")}
    anna.post("answer", task=task["task"], **asked, text="61")
    assert "1 entries of anna were sent back" in sue.form("send-back", who="anna", **asked).text
    second = sam.form("send-back", who="anna", **asked)
    assert (second.status_code, "no entry that could be sent back" in second.text) == (400, True)


def test_what_is_asked_wrongly_is_refused_in_words(cluster: FakeCluster, app: Any) -> None:
    job, _ = sums_job(cluster)
    anna = Reviewer(app, "anna", job)
    assert "no task '9-9'" in anna.post("answer", task="9-9", item=0, field="a", text="1").text
    task = anna.post("next").json()["task"]
    for body in ({"item": -1}, {"item": "0"}, {"item": 0, "field": 7}, {"item": 99, "field": "a"}):
        assert anna.post("answer", task=task, **body).status_code in (400, 404)
    assert anna.post("next", tab="../x").status_code == 400
    assert anna.post("check", task=task, values="all").status_code == 400
    assert Reviewer(app, "anna", "no-such-job").get().status_code == 404


def test_corners_are_cut_at_once_and_the_page_is_read_by_a_process_of_its_own(
    cluster: FakeCluster, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = form({"a": "3|type: code"})
    lost = Row(0, "scan.png", status=Status.ERROR, code=Code.UNREGISTERED, message="no marks")
    job = finished_job(cluster, template, [lost, replace(lost, item=1, source="other.png")])
    ben = Reviewer(app, "ben", job)
    assert "scan.png" in ben.get("/located").text
    assert "Read 2 pages of this size alike" in ben.get("/located/0").text
    assert 'id="corners"' in ben.get("/located/0").text
    assert ben.get("/located/0/scan").headers["content-type"] == "image/jpeg"
    assert ben.get("/located/7").status_code == 404
    # The marks of the form, as parts of the page.
    marks = [[x / 210, y / 297] for x, y in ([10, 10], [200, 10], [200, 287], [10, 287])]
    asked = {"corners": marks, "form": "tally", "number": 1}
    cut = ben.post("located/0/preview", **asked).json()
    assert [name for name, _ in cut["fields"]] == ["a"]
    picture = Image.open(BytesIO(base64.b64decode(cut["fields"][0][1])))
    assert np.asarray(picture.convert("L")).min() < 10  # its first cell is black
    crossed = [marks[0], marks[2], marks[1], marks[3]]
    refused = ben.post("located/0/preview", **{**asked, "corners": crossed})
    assert "not the corners of a page" in refused.json()["error"]
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, "", "item 0 (scan.png) was read again: ok")

    monkeypatch.setattr(subprocess, "run", run)
    pixels = {**asked, "corners": cut["corners"]}
    assert ben.post("located/0/read", **pixels).json()["said"].endswith("read again: ok")
    four = ["--corners", "40.0,40.0 800.0,40.0 800.0,1148.0 40.0,1148.0"]
    assert ran[0][-5:] == ["fix", job, "0", *four]
    both = ben.post("located/1/read", **pixels, alike=True).json()
    assert both["said"] == "2 pages were read again."
    assert ran[1][-6:] == ["fix", job, "1", "0", *four]
