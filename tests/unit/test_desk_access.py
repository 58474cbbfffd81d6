"""The desk's doors: signing in, roles, CSRF tokens, headers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from inkmill.desk.account import first_link
from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from tests.fakes import FakeCluster

PASSWORD = "correct horse"


@pytest.fixture
def context(cluster: FakeCluster) -> DeskContext:
    return DeskContext(cluster.connection)


@pytest.fixture
def visitor(context: DeskContext) -> Iterator[TestClient]:
    with TestClient(create_app(context)) as client:
        yield client


def sign_in(client: TestClient, name: str, password: str = PASSWORD) -> str:
    """Sign in; returns the session's CSRF token."""
    answer = client.post("/sign-in", data={"name": name, "password": password, "next": "/jobs"})
    assert answer.status_code == 200, answer.text
    (token,) = re.findall(r'name="csrf-token" content="([^"]+)"', answer.text)
    return str(token)


def test_who_is_not_signed_in_is_led_to_the_sign_in_page_and_back(
    context: DeskContext, visitor: TestClient
) -> None:
    context.people.add("anna", Role.KEYER, PASSWORD)
    answer = visitor.get("/jobs?x=1")
    assert answer.url.path == "/sign-in"
    assert 'value="/jobs?x=1"' in answer.text
    wrong = visitor.post("/sign-in", data={"name": "anna", "password": "guess", "next": "/jobs"})
    assert wrong.status_code == 401
    assert "name or the password is wrong" in wrong.text
    assert sign_in(visitor, "anna")
    assert "There are no jobs yet" in visitor.get("/jobs").text
    visitor.cookies.clear()
    told = visitor.get("/jobs", headers={"Accept": "application/json"})
    assert told.status_code == 401
    assert "what you typed is still here" in told.json()["error"]


def test_every_response_carries_a_strict_policy(visitor: TestClient) -> None:
    for path in ("/sign-in", "/no-such-page", "/static/desk.css", "/livez"):
        answer = visitor.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "there is no such page" in visitor.get("/no-such-page").text.lower()


def test_a_request_without_the_sessions_token_changes_nothing(
    context: DeskContext, visitor: TestClient
) -> None:
    context.people.add("anna", Role.KEYER, PASSWORD)
    token = sign_in(visitor, "anna")
    assert visitor.post("/sign-out").status_code == 403
    assert visitor.post("/sign-out", data={"csrf": "x" * 32}).status_code == 403
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert visitor.post("/sign-out", data={"csrf": token}, headers=foreign).status_code == 403
    assert visitor.get("/jobs").url.path == "/jobs"
    assert visitor.post("/sign-out", data={"csrf": token}).url.path == "/sign-in"
    assert visitor.get("/jobs").url.path == "/sign-in"


def test_the_one_time_link_signs_in_once(context: DeskContext, visitor: TestClient) -> None:
    token = first_link.make(context)
    assert visitor.get("/first?token=wrong").status_code == 400
    assert "signed in as an administrator" in visitor.get(f"/first?token={token}").text
    again = visitor.get(f"/first?token={token}")
    assert again.status_code == 400
    assert "used before" in again.text


def test_guessing_passwords_must_wait(context: DeskContext, visitor: TestClient) -> None:
    context.people.add("anna", Role.KEYER, PASSWORD)
    for _ in range(10):
        visitor.post("/sign-in", data={"name": "anna", "password": "guess"})
    answer = visitor.post("/sign-in", data={"name": "anna", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 60
