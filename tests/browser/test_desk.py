"""The desk on real servers: two of them side by side, killed in the middle, and without Redis."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inkmill.desk.context import DeskContext
from inkmill.desk.people.roles import Role
from inkmill.local.servers import Stack
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.producer import connect, results
from inkmill.settings import Settings
from tests.desk_browser import Look, chromium
from tests.fakes import png
from tests.integration.conftest import settings, stack
from tests.integration.processes import command
from tests.unit.desk_visits import PASSWORD

__all__ = ["settings", "stack"]


@contextmanager
def desk(settings: Settings) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own; yields its address and the process."""
    running = command(settings, "desk", "--port", 0)
    try:
        assert running.stderr is not None
        said = re.search(r"the desk: (http://\S+)", running.stderr.readline())
        assert said is not None
        yield said[1], running
    finally:
        running.kill()
        running.communicate()


@pytest.fixture
def context(settings: Settings) -> DeskContext:
    made = DeskContext(connect(settings))
    Registry(made.store, "digits").publish(load())
    made.people.add("anna", Role.SUPERVISOR, PASSWORD)
    return made


def test_another_server_takes_over_when_one_is_killed(
    context: DeskContext, stack: Stack, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number:02d}.png" for number in range(30)]
    for number, file in enumerate(files):
        file.write_bytes(png(number))
    with (
        chromium() as browser,
        desk(context.settings) as (first, killed),
        desk(context.settings) as (second, _),
    ):
        look = Look(browser, first)
        page = look.page
        page.goto("/sign-in?next=/jobs/new")
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/new")
        page.set_input_files("#files", files[:10])
        page.get_by_text("10 of 10 files sent").wait_for()
        page.set_input_files("#files", files)
        killed.kill()
        killed.wait()
        page.get_by_text("files were not sent").wait_for()
        # The session and what was dropped are in the bucket; cookies do not know of ports.
        page.goto(f"{second}/jobs")
        page.get_by_role("link", name="files of anna").click()
        page.get_by_role("link", name="Choose options and submit").click()
        page.get_by_text("files are here already").wait_for()
        page.set_input_files("#files", files)
        page.get_by_text("30 of 30 files sent").wait_for()
        page.fill("#name", "survivor")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url("**/jobs/survivor")
        page.get_by_text("0 of 30").first.wait_for()
        page.get_by_label("type its name").fill("survivor")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_text("30 rows have the code CANCELLED").wait_for()
        rows = list(results("survivor", connection=context.connection))
        assert sorted(row.source for row in rows) == [file.name for file in files]

        # Last, since the other tests need it: nobody is signed out when Redis dies.
        stack.kill("redis")
        page.goto(f"{second}/jobs")
        page.get_by_text("does not answer").first.wait_for()
        assert page.get_by_role("link", name="survivor").count() == 1
