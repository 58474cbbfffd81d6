"""Visits to the desk without a browser: a client that is signed in, over fakes."""

from __future__ import annotations

import re

from starlette.testclient import TestClient

from inkmill.desk.app import create_app
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role

PASSWORD = "correct horse"


class Visitor(TestClient):
    """A browser's cookies, and the CSRF token of the session as ``csrf``."""

    csrf = ""

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        answer = self.post("/sign-in", data={"name": name, "password": password, "next": "/jobs"})
        assert answer.status_code == 200, answer.text
        (self.csrf,) = re.findall(r'name="csrf-token" content="([^"]+)"', answer.text)


def visit(context: DeskContext, role: Role, name: str = "") -> Visitor:
    """A visitor of a role, signed in."""
    name = name or str(role)
    context.people.add(name, role, PASSWORD)
    visitor = Visitor(create_app(context))
    visitor.sign_in(name)
    return visitor
