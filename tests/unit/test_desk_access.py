"""The desk's doors: signing in, roles, CSRF tokens, headers, people, the audit trail."""

from __future__ import annotations

import re
import time

import pytest
from starlette.testclient import TestClient

from inkmill.desk.account import first_link
from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.desk.people.sessions import Sessions
from inkmill.errors import NotFound, UsageError
from tests.fakes import FakeCluster
from tests.unit.desk_visits import PASSWORD, Visitor, visit


@pytest.fixture
def context(cluster: FakeCluster) -> DeskContext:
    return DeskContext(cluster.connection)


@pytest.fixture
def visitor(context: DeskContext) -> Visitor:
    return Visitor(create_app(context))


def test_who_is_not_signed_in_is_led_to_the_sign_in_page_and_back(
    context: DeskContext, visitor: Visitor
) -> None:
    context.people.add("anna", Role.KEYER, PASSWORD)
    answer = visitor.get("/jobs?x=1")
    assert answer.url.path == "/sign-in"
    assert 'value="/jobs?x=1"' in answer.text
    wrong = visitor.post("/sign-in", data={"name": "anna", "password": "guess", "next": "/jobs"})
    assert wrong.status_code == 401
    assert "name or the password is wrong" in wrong.text
    visitor.sign_in("anna")
    assert "There are no jobs yet" in visitor.get("/jobs").text
    visitor.cookies.clear()
    told = visitor.get("/jobs", headers={"Accept": "application/json"})
    assert told.status_code == 401
    assert "what you typed is still there" in told.json()["error"]


def test_every_response_carries_a_strict_policy(visitor: Visitor) -> None:
    for path in ("/sign-in", "/no-such-page", "/static/desk.css", "/livez"):
        answer = visitor.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "there is no such page" in visitor.get("/no-such-page").text.lower()


def test_a_request_without_the_token_changes_nothing(
    context: DeskContext, visitor: Visitor
) -> None:
    context.people.add("anna", Role.KEYER, PASSWORD)
    visitor.sign_in("anna")
    token = visitor.csrf
    assert visitor.post("/sign-out").status_code == 403
    assert visitor.post("/sign-out", data={"csrf": "x" * 32}).status_code == 403
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert visitor.post("/sign-out", data={"csrf": token}, headers=foreign).status_code == 403
    assert visitor.get("/jobs").url.path == "/jobs"
    assert visitor.post("/sign-out", data={"csrf": token}).url.path == "/sign-in"
    assert visitor.get("/jobs").url.path == "/sign-in"


def test_what_was_typed_can_be_sent_after_signing_in_again(context: DeskContext) -> None:
    admin = visit(context, Role.ADMIN)
    typed = {"csrf": admin.csrf, "action": "add", "name": "berta", "role": "keyer"}
    context.sessions.end(admin.cookies["inkmill_desk"])
    late = admin.post("/people", data=typed)
    assert late.status_code == 401
    assert "sign in again in another tab" in late.text
    admin.sign_in("admin")
    assert admin.post("/people", data=typed).status_code == 200
    assert context.people.get("berta").role == "keyer"


def test_the_one_time_link_signs_in_once(context: DeskContext, visitor: Visitor) -> None:
    token = first_link.make(context)
    assert visitor.get("/first?token=wrong").status_code == 400
    assert "signed in as an administrator" in visitor.get(f"/first?token={token}").text
    again = visitor.get(f"/first?token={token}")
    assert again.status_code == 400
    assert "used before" in again.text


def test_guessing_passwords_must_wait(context: DeskContext, visitor: Visitor) -> None:
    context.people.add("anna", Role.KEYER, PASSWORD)
    for _ in range(10):
        visitor.post("/sign-in", data={"name": "anna", "password": "guess"})
    answer = visitor.post("/sign-in", data={"name": "anna", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 60


def test_sessions_hold_on_every_server_and_end_with_the_password(context: DeskContext) -> None:
    """Two servers share nothing but the bucket and Redis."""
    here = visit(context, Role.KEYER, "anna")
    there = Visitor(create_app(DeskContext(context.connection)))
    before = here.cookies["inkmill_desk"]
    there.cookies.set("inkmill_desk", before)
    assert there.get("/jobs").url.path == "/jobs"
    here.post(
        "/account",
        data={"csrf": here.csrf, "old": PASSWORD, "new": "another horse", "again": "another horse"},
    )
    assert here.get("/jobs").url.path == "/jobs"
    late = Visitor(create_app(DeskContext(context.connection)))
    late.cookies.set("inkmill_desk", before)
    assert late.get("/jobs").url.path == "/sign-in"


def test_a_session_is_over_after_its_time(context: DeskContext) -> None:
    person = context.people.add("anna", Role.KEYER, PASSWORD)
    brief = Sessions(context.store, context.people, 0.0)
    token = brief.begin(person)
    assert brief.find(token) is None
    assert context.sessions.find("never was one") is None
    assert brief.sweep() == 1


def test_administrators_manage_people(context: DeskContext) -> None:
    admin = visit(context, Role.ADMIN)

    def act(**fields: str) -> str:
        answer = admin.post("/people", data={"csrf": admin.csrf, **fields})
        assert answer.status_code in (200, 400)
        return str(answer.text)

    page = act(action="add", name="berta", role="second")
    (password,) = re.findall(r'class="handed">([^<]+)<', page)
    berta = Visitor(create_app(context))
    berta.sign_in("berta", password)
    assert berta.get("/people").status_code == 403
    assert berta.get("/trail").status_code == 403
    assert "already a person" in act(action="add", name="berta", role="keyer")
    assert "not a name" in act(action="add", name="No Name", role="keyer")
    assert "yourself" in act(action="remove", name="admin")
    act(action="role", name="berta", role="supervisor")
    assert "berta supervisor" in berta.get("/trail").text
    act(action="remove", name="berta")
    assert berta.get("/jobs").url.path == "/sign-in"
    day = time.strftime("%Y-%m-%d", time.gmtime())
    told = {deed.action for deed in context.trail.of_day(day, 100)}
    assert {"sign-in", "add-user", "role-user", "remove-user"} <= told


def test_passwords_are_hashed_and_not_weak(context: DeskContext) -> None:
    person = context.people.add("anna", Role.KEYER, PASSWORD)
    assert person.password.startswith("$argon2id$")
    assert context.people.check("anna", PASSWORD) == person
    assert context.people.check("anna", "wrong") is None
    assert context.people.check("nobody", PASSWORD) is None
    for weak in ("short", "x" * 20, "y" * 2000):
        with pytest.raises(UsageError, match="password"):
            context.people.set_password("anna", weak)
    with pytest.raises(NotFound, match="list-users"):
        context.people.set_password("nobody", PASSWORD)
    context.people.add("proxied", Role.KEYER, "")
    assert context.people.check("proxied", "") is None


@pytest.mark.parametrize("address", ["10.1.2.3", "192.0.2.9"])
def test_a_reverse_proxys_header_counts_only_from_its_address(address: str) -> None:
    cluster = FakeCluster(desk_user_header="X-Remote-User", desk_proxies=("10.1.0.0/16",))
    context = DeskContext(cluster.connection)
    context.people.add("anna", Role.KEYER, "")
    visitor = Visitor(create_app(context), client=(address, 5000))
    named = {"X-Remote-User": "Anna", "X-Forwarded-For": "198.51.100.7, 203.0.113.5"}
    page = visitor.get("/jobs", headers=named)
    if address == "192.0.2.9":
        assert page.url.path == "/sign-in"
        return
    assert "anna" in page.text
    (csrf,) = re.findall(r'name="csrf-token" content="([^"]+)"', page.text)
    assert visitor.post("/sign-out", headers=named).status_code == 403
    stranger = visitor.get("/jobs", headers={"X-Remote-User": "berta"})
    assert stranger.status_code == 403
    assert "the desk does not" in stranger.text
    visitor.post("/sign-out", headers=named, data={"csrf": csrf})
    day = time.strftime("%Y-%m-%d", time.gmtime())
    (deed,) = (each for each in context.trail.of_day(day, 10) if each.action == "sign-out")
    assert deed.address == "203.0.113.5"


def test_an_error_says_what_to_do_and_shows_no_traceback(
    context: DeskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyer = visit(context, Role.KEYER)
    monkeypatch.setattr(type(context.store), "folders", lambda *_: 1 / 0)
    quiet = Visitor(create_app(context), raise_server_exceptions=False)
    quiet.cookies = keyer.cookies
    answer = quiet.get("/jobs")
    assert answer.status_code == 500
    assert "This is a bug in Inkmill" in answer.text
    assert "Traceback" not in answer.text
    told = quiet.get("/jobs", headers={"Accept": "application/json"})
    assert "This is a bug" in told.json()["error"]


def test_readiness_needs_both_servers(
    context: DeskContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TestClient(create_app(context))
    assert client.get("/readyz").status_code == 200

    def gone() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(context.queue.client, "ping", gone)
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200
