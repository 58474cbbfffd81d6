"""Drafts of the template editor: kept, checked, saved and opened again."""

from __future__ import annotations

import json
import re
from typing import Any

import cv2
import numpy as np
import pytest

from inkmill import names
from inkmill.desk.context import DeskContext
from inkmill.desk.editor.content import appended, assembled, problems, taken_apart
from inkmill.desk.editor.drafts import Drafts
from inkmill.desk.people.roles import Role
from inkmill.errors import FormError, UsageError
from inkmill.forms.synth.printing import draw_page
from inkmill.template.form import Form
from tests.fakes import FakeCluster
from tests.unit.desk_visits import Visitor, visit
from tests.unit.sheets import load, pdf

FILE = {"X-File-Name": "tally%20sheet.png", "Content-Type": "application/octet-stream"}


@pytest.fixture
def context(cluster: FakeCluster) -> DeskContext:
    return DeskContext(cluster.connection)


@pytest.fixture
def anna(context: DeskContext) -> Visitor:
    visitor = visit(context, Role.SUPERVISOR, "anna")
    visitor.headers |= {"X-CSRF-Token": visitor.csrf, "Accept": "application/json"}
    return visitor


def opened(client: Visitor, data: bytes, name: str = "tally.yaml") -> str:
    """Open a file; the address of the draft."""
    answer = client.post("/templates/drafts", content=data, headers={**FILE, "X-File-Name": name})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["location"])


def state(client: Visitor, address: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{address}/draft").json()
    return found


def put(client: Visitor, address: str, found: dict[str, Any], template: object) -> Any:
    return client.put(f"{address}/draft", json={"etag": found["etag"], "template": template})


# --- contents ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tally", "register", "strip"])
def test_a_template_is_the_same_after_a_draft(anna: Visitor, name: str) -> None:
    form = load(name)
    address = opened(anna, form.to_text().encode())
    assert state(anna, address)["problems"] == []
    again = anna.get(f"{address}/template.yaml")
    assert again.headers["content-disposition"] == f'attachment; filename="{name}.yaml"'
    assert Form.parse(again.text).hash == form.hash


def test_blanks_lie_beside_the_draft(anna: Visitor) -> None:
    _, png = cv2.imencode(".png", np.full((300, 210), 255, np.uint8))
    content = load("tally").content()
    import base64

    blank = {"png": base64.b64encode(png).decode(), "box": [0, 0, 210, 300]}
    content["registration"]["blank"] = blank
    form = Form.model_validate(content)
    apart, pictures = taken_apart(form.content())
    ((digest, data),) = pictures.items()
    assert apart["registration"]["blank"]["png"] == f"sha256:{digest}"
    assert assembled(apart, {digest: data}.__getitem__).hash == form.hash
    address = opened(anna, form.to_text().encode())
    found = state(anna, address)
    assert len(json.dumps(found)) < 5_000
    page = found["draft"]["pages"][0]
    assert page == {"number": 1, "picture": digest, "size": [210, 300], "box": blank["box"]}
    picture = anna.get(f"{address}/pictures/{digest}.png")
    assert picture.content == bytes(png)
    assert "immutable" in picture.headers["cache-control"]
    assert Form.parse(anna.get(f"{address}/template.yaml").text).hash == form.hash


def wrong(change: Any) -> list[tuple[tuple[str | int, ...], str]]:
    content = load("tally").content()
    change(content)
    return [(each.path, each.message) for each in problems(content)]


def test_errors_are_told_at_their_place() -> None:
    assert wrong(lambda content: None) == []
    ((path, message),) = wrong(lambda content: content["fields"][1].update(name="1st"))
    assert path == ("fields", 1, "name")
    assert message == "a field's name has letters, digits and _ only, and begins with a letter"
    ((path, message),) = wrong(lambda content: content["fields"][2].update(name="valid"))
    assert path == ("fields", 2, "name")
    assert "two fields are called valid" in message
    ((path, message),) = wrong(lambda content: content["checks"][0].update(equals="validd"))
    assert path == ("checks", 0, "equals")
    ((path, _),) = wrong(
        lambda content: content["tables"][0]["columns"][0].update(rules=[{"range": [5, 1]}])
    )
    assert path[:4] == ("tables", 0, "columns", 0)
    ((path, message),) = wrong(lambda content: content.update(fields=[], tables=[], checks=[]))[:1]
    assert "needs fields" in message


def test_a_name_that_is_a_column_is_told_at_its_field() -> None:
    content = load("strip").content()
    del content["checks"]
    content["fields"][0]["name"] = "status"
    ((path, message),) = [(each.path, each.message) for each in problems(content)]
    assert path == ("fields", 0, "name")
    assert "status" in message
    with pytest.raises(FormError, match="not complete yet"):
        assembled(content, lambda _: b"")


def test_pages_are_appended_behind_the_others() -> None:
    register = load("register").content() | {"tables": []}
    more = {**register, "pages": []}
    both = appended(register, more, 2)
    assert [(field["name"], field.get("page", 1)) for field in both["fields"]] == [
        (register["fields"][0]["name"], 1),
        ("box_002", 2),
    ]
    assert both["pages"] == [{"number": 2, "registration": register["registration"]}]
    with pytest.raises(UsageError, match="positions in mm, these pages in frame"):
        appended(register, load("strip").content() | {"pages": []}, 2)


# --- the desk ------------------------------------------------------------------------------------


def test_a_picture_becomes_a_draft_with_its_boxes(anna: Visitor) -> None:
    _, data = cv2.imencode(".png", draw_page(load("tally"), 1, 100))
    address = opened(anna, bytes(data), "tally%20sheet.png")
    found = state(anna, address)
    assert found["problems"] == []
    template, (page,) = found["draft"]["template"], found["draft"]["pages"]
    assert template["name"] == "tally-sheet"
    assert len(template["fields"]) == 15
    left, top, width, height = page["box"]
    row = template["fields"][0]["cells"]
    scale = [page["size"][0] / width, page["size"][1] / height]
    rectangle = [
        (row["origin"][0] - left) * scale[0] + 4,
        (row["origin"][1] - top) * scale[1] - 3,
        (row["pitch"][0] * 3 + row["size"][0]) * scale[0] - 5,
        row["size"][1] * scale[1] + 4,
    ]
    asked = {"page": 1, "rectangle": rectangle, "count": 0}
    snapped = anna.post(f"{address}/about/snap", json=asked).json()
    assert snapped["lined"]
    assert snapped["cells"]["count"] == 4
    assert snapped["cells"]["origin"] == pytest.approx(row["origin"], abs=0.003)
    for _ in range(2):
        scans = anna.post(f"{address}/scans", content=bytes(data), headers=FILE).json()["draft"]
    assert len(scans["scans"]) == 1, "the same page twice is one scan"
    located = anna.post(f"{address}/locate", json={"scan": scans["scans"][0]["picture"]}).json()
    assert len(located["fields"]) == 15
    page_again = anna.post(f"{address}/pages", content=bytes(data), headers=FILE).json()["draft"]
    assert [page["number"] for page in page_again["pages"]] == [1, 2]
    assert len(page_again["template"]["fields"]) == 30


def test_a_draft_is_kept_valid_or_not_and_saved_only_when_valid(
    anna: Visitor, context: DeskContext
) -> None:
    address = opened(anna, load("tally").to_text().encode())
    found = state(anna, address)
    template = found["draft"]["template"]
    template["fields"][0]["name"] = "no name"
    answer = put(anna, address, found, template).json()
    assert answer["problems"][0]["path"] == ["fields", 0, "name"]
    refused = anna.post(f"{address}/save", json={})
    assert refused.status_code == 400
    assert "not complete yet" in refused.json()["error"]
    assert state(anna, address)["draft"]["template"]["fields"][0]["name"] == "no name"
    assert put(anna, address, found, template).json()["etag"] == answer["etag"], "sent twice"
    template["fields"][0]["name"] = "station"
    stale = put(anna, address, found, template)
    assert stale.status_code == 409
    assert "Meanwhile anna changed this draft" in stale.json()["error"]
    put(anna, address, answer, template)
    kept = anna.post(f"{address}/save", json={}).json()
    assert kept["name"] == "tally"
    assert any("station" in remark for remark in kept["remarks"])
    assert Drafts(context.store).open_saved("tally").hash == kept["hash"]


def test_saved_templates_and_drafts_are_listed_opened_and_deleted(
    anna: Visitor, context: DeskContext
) -> None:
    Drafts(context.store).save(load("tally"))
    page = anna.get("/templates", headers={"Accept": "text/html"})
    assert "tally.yaml" in page.text
    assert Form.parse(anna.get("/templates/saved/tally.yaml").text).hash == load("tally").hash
    editor = anna.post("/templates/saved/tally/open", headers={"Accept": "text/html"})
    assert editor.status_code == 200
    (address,) = re.findall(r'href="(/templates/drafts/[0-9a-f]{16})/template.yaml"', editor.text)
    assert address in anna.get("/templates", headers={"Accept": "text/html"}).text
    anna.post(f"{address}/delete")
    assert anna.get(f"{address}/draft").status_code == 404
    assert not list(context.store.list(names.DRAFTS))
    assert anna.post("/templates/saved/none/open").status_code == 404


def test_scans_are_read_by_a_worker_and_the_job_goes(
    anna: Visitor, context: DeskContext, cluster: FakeCluster
) -> None:
    form = load("tally")
    address = opened(anna, form.to_text().encode())
    _, data = cv2.imencode(".png", draw_page(form, 1, 60))
    draft = anna.post(f"{address}/scans", content=bytes(data), headers=FILE).json()["draft"]
    assert anna.get(f"{address}/readings").status_code == 404
    alone = anna.post(f"{address}/readings", json={})
    assert "no worker is running" in alone.json()["error"].lower()
    cluster.queue.report_worker("host-1", 2)
    for _ in range(2):  # a second try replaces the first
        assert anna.post(f"{address}/readings", json={}).status_code == 202
    assert anna.get(f"{address}/readings").json() == {"scans": None}
    cluster.work()
    scans = anna.get(f"{address}/readings").json()["scans"]
    assert list(scans) == [draft["scans"][0]["picture"]]
    assert anna.get(f"{address}/readings").status_code == 404
    assert not list(context.store.list("jobs/"))


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "empty.png", "empty.png: the file is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "cut.png", "cut.png"),
        (b"PK\x03\x04" + bytes(300), "form.docx", "form.docx: this is a ZIP archive"),
        (b"fields: [", "bad.yaml", "bad.yaml, line 1: not valid YAML"),
        (b"name: tally\n", "part.yaml", "part.yaml, line 1"),
        (b"a: 1\n---\nb: 2\n", "two.yaml", "two.yaml holds several templates"),
    ],
)
def test_a_file_that_is_no_form_is_named_with_the_reason(
    anna: Visitor, context: DeskContext, data: bytes, name: str, message: str
) -> None:
    answer = anna.post("/templates/drafts", content=data, headers={**FILE, "X-File-Name": name})
    assert answer.status_code == 400
    assert message.lower() in answer.json()["error"].lower()
    assert not list(Drafts(context.store).all())


def test_two_supervisors_at_one_draft_lose_nothing(anna: Visitor, context: DeskContext) -> None:
    _, data = cv2.imencode(".png", draw_page(load("tally"), 1, 100))
    address = opened(anna, bytes(data), "tally%20sheet.png")
    sam = visit(context, Role.SUPERVISOR, "sam")
    sam.headers |= {"X-CSRF-Token": sam.csrf, "Accept": "application/json"}
    hers, his = state(anna, address), state(sam, address)
    hers["draft"]["template"]["name"], his["draft"]["template"]["name"] = "hers", "his"
    assert put(anna, address, hers, hers["draft"]["template"]).status_code == 200
    refused = put(sam, address, his, his["draft"]["template"])
    assert refused.status_code == 409
    assert "keep them as a draft of their own" in refused.json()["error"]
    made = sam.post(f"{address}/copy", json={"template": his["draft"]["template"]})
    other = state(sam, made.json()["location"])["draft"]
    assert [other["template"]["name"], len(other["template"]["fields"])] == ["his", 15]
    assert state(anna, address)["draft"]["template"]["name"] == "hers"
    picture = f"{made.json()['location']}/pictures/{other['pages'][0]['picture']}.png"
    assert sam.get(picture).status_code == 200
    assert sam.post(f"{made.json()['location']}/save", json={}).json()["name"] == "his"


def test_a_pdf_bomb_is_refused_wherever_it_is_dropped(anna: Visitor, context: DeskContext) -> None:
    address = opened(anna, load("tally").to_text().encode())
    before = state(anna, address)
    headers = {**FILE, "X-File-Name": "bomb.pdf"}
    huge, many = pdf(1, (14_000, 14_000)), pdf(200)
    places = ("/templates/drafts", f"{address}/pages", f"{address}/scans")
    for place, bomb, why in (
        (places[0], many, "pages"),
        *((each, huge, "pixels") for each in places),
    ):
        answer = anna.post(place, content=bomb, headers=headers)
        assert answer.status_code == 400, place
        assert answer.json()["error"].startswith("bomb.pdf"), place
        assert why in answer.json()["error"], place
    assert state(anna, address) == before
    assert len(list(Drafts(context.store).all())) == 1


def test_what_no_script_of_ours_would_send_is_refused(anna: Visitor) -> None:
    address = opened(anna, load("tally").to_text().encode())
    found = state(anna, address)
    for template in ("x", {"name": "x" * 2_000_000}):
        assert put(anna, address, found, template).status_code in (400, 413)
    for asked in (
        {"page": 9, "rectangle": [0, 0, 9, 9], "count": 0},
        {"page": 1, "rectangle": [0, 0, 9, "9"], "count": 0},
        {"page": 1, "rectangle": [0, 0, 9, 1e9], "count": 0},
        {"page": True, "rectangle": [0, 0, 9, 9], "count": 0},
    ):
        assert anna.post(f"{address}/about/snap", json=asked).status_code == 400
    assert anna.post(f"{address}/about/pages", json={"page": 1}).status_code == 400
    assert anna.post(f"{address}/locate", json={"scan": "0" * 64}).status_code == 400
    assert anna.get("/templates/drafts/not-a-draft/draft").status_code == 400
    assert anna.get(f"{address}/pictures/../draft.json").status_code == 404


def test_templates_are_for_supervisors(context: DeskContext) -> None:
    kim = visit(context, Role.KEYER, "kim")
    assert kim.get("/templates").status_code == 403
    headers = {**FILE, "X-CSRF-Token": kim.csrf}
    assert kim.post("/templates/drafts", content=b"x", headers=headers).status_code == 403
