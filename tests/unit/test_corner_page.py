"""`inkmill fix` in the browser: pages one after another, corners back, nothing for strangers."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from inkmill.codes import Code
from inkmill.errors import UsageError
from inkmill.people.corner_page import Corners, CornerServer, Shown
from inkmill.people.fix import Fixer
from inkmill.records.rows import Row
from tests.fakes import FakeCluster
from tests.unit.form_jobs import finished_job
from tests.unit.sheets import load

CORNERS = [[80, 95], [1570, 90], [1575, 2240], [85, 2250]]


class Desk:
    """Two pages, and what came back for them."""

    def __init__(self) -> None:
        self.read: dict[int, Corners] = {}
        self.server = CornerServer([3, 7], self.show, self.keep)

    def show(self, item: int) -> Shown:
        return Shown(item, f"scan_{item}.png", "no marks: <b>covered</b>", b"\xff\xd8", 2.0)

    def keep(self, item: int, corners: Corners) -> str:
        if corners[0] == (0.0, 0.0):
            raise UsageError("these are not the corners of a page")
        self.read[item] = corners
        return f"item {item} was read"

    def get(self, url: str = "", **headers: str) -> str:
        asked = urllib.request.Request(url or self.server.url, headers=headers)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return str(answer.read().decode())

    def post(self, item: int, corners: object) -> dict[str, object]:
        data = json.dumps({"item": item, "corners": corners}).encode()
        with urllib.request.urlopen(self.server.url, data, timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
            return found


@pytest.fixture
def desk() -> Iterator[Desk]:
    made, ended = Desk(), threading.Event()
    serving = threading.Thread(target=made.server.run, args=(ended.is_set,))
    serving.start()
    yield made
    ended.set()
    serving.join(10)
    assert not serving.is_alive()


def test_pages_come_one_after_another_and_are_read(desk: Desk) -> None:
    page = desk.get()
    assert "scan_3.png" in page
    assert "&lt;b&gt;covered" in page
    assert "connect-src 'self'" in page
    assert "error" in desk.post(3, [[0, 0], [9, 9], [9, 0], [0, 9]])
    assert desk.post(3, CORNERS) == {"read": "item 3 was read", "next": True}
    assert desk.post(3, CORNERS) == {"next": True}  # sent twice
    assert "scan_7.png" in desk.get()
    assert desk.post(7, []) == {"read": "", "next": False}  # skipped
    assert desk.read == {3: [(80.0, 95.0), (1570.0, 90.0), (1575.0, 2240.0), (85.0, 2250.0)]}


def test_strangers_get_nothing(desk: Desk) -> None:
    address = desk.server.url.rpartition("/")[0]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        desk.get(f"{address}/")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        desk.get(Host="example.org")
    assert "error" in desk.post(3, "what")


def test_the_pages_to_locate_are_those_that_were_not(cluster: FakeCluster) -> None:
    lost = Row(1, "b.png").failed(Code.UNREGISTERED, "fewer than three marks were found")
    broken = Row(2, "c.png").failed(Code.TRUNCATED, "the PNG is cut short")
    finished_job(cluster, load("strip"), [Row(0, "a.png"), lost, broken], "tally")
    fixer = Fixer(cluster.connection, "tally")
    assert fixer.unlocated() == [1]
    assert fixer.reason(1) == "fewer than three marks were found"
    item, data = fixer.find("1")
    assert (item.source, data[:4]) == ("b.png", b"\x89PNG")
    with pytest.raises(UsageError, match="column item, 0 to 2"):
        fixer.find("3")
    fixer.keep(Row(1, "b.png"))
    assert Fixer(cluster.connection, "tally").unlocated() == []
