"""``inkmill desk`` and its commands for people."""

from __future__ import annotations

import io

import pytest

from inkmill.cli.commands import desk
from inkmill.cli.main import run
from inkmill.codes import Exit
from inkmill.desk.account import first_link
from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from tests.fakes import FakeCluster
from tests.unit.test_imports import loaded_by


@pytest.fixture
def context(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> DeskContext:
    """The command line on fakes."""
    monkeypatch.setattr("inkmill.producer.connect", lambda *_: cluster.connection)
    monkeypatch.setattr("inkmill.log.set_up_logging", lambda *_: None)
    return DeskContext(cluster.connection)


def test_people_are_added_changed_and_removed(
    context: DeskContext, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def typed(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    typed("first password\n")
    add = ["desk", "add-user", "anna", "--role", "second", "--password-stdin"]
    assert run(add) == Exit.DONE
    typed("other password\n")
    assert run(["desk", "passwd", "anna", "--password-stdin"]) == Exit.DONE
    assert context.people.check("anna", "other password") is not None
    assert run(["desk", "set-role", "anna", "--role", "admin"]) == Exit.DONE
    capfd.readouterr()
    assert run(["desk", "list-users"]) == Exit.DONE
    assert capfd.readouterr().out == "anna\tadmin\n"
    typed("")
    assert run(["desk", "add-user", "berta"]) == Exit.USAGE
    assert "--password-stdin" in capfd.readouterr().err
    assert run(["desk", "passwd", "nobody", "--password-stdin"]) == Exit.USAGE
    assert "list-users" in capfd.readouterr().err
    assert run(["desk", "remove-user", "anna"]) == Exit.DONE
    assert list(context.people.all()) == []


def test_a_desk_that_others_reach_needs_somebody_who_can_sign_in(
    context: DeskContext, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["desk", "--host", "0.0.0.0", "--port", "0"]) == Exit.USAGE
    assert "add-user" in capfd.readouterr().err
    assert run(["desk", "--host", "192.0.2.1", "--port", "0"]) == Exit.USAGE
    context.people.add("anna", Role.ADMIN, "some password")
    assert run(["desk", "--host", "192.0.2.1", "--port", "0"]) == Exit.USAGE
    assert "cannot listen on 192.0.2.1" in capfd.readouterr().err


def test_the_roles_of_the_command_line_are_those_of_the_desk() -> None:
    assert tuple(Role) == desk._ROLES


def test_an_unused_link_is_replaced_by_the_next(context: DeskContext) -> None:
    first, second = first_link.make(context), first_link.make(context)
    with pytest.raises(Exception, match="used before"):
        first_link.redeem(context, first)
    assert first_link.redeem(context, second).name == "admin"


def test_the_server_loads_neither_tensorflow_nor_opencv() -> None:
    loaded = loaded_by("import inkmill.desk.app, inkmill.desk.serving")
    assert "inkmill.desk.jobs.routes" in loaded
    assert loaded & {"tensorflow", "keras", "cv2"} == set()
