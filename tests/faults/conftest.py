"""Fixtures of the fault suite: a cluster for each test, and the outcomes of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import outcome
from tests.faults.outcome import Outcome
from tests.integration.conftest import (  # noqa: F401 - fixtures
    calm,
    cluster,
    settings,
    stack,
)

_outcomes: dict[int, Outcome] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture
def found(request: pytest.FixtureRequest) -> Outcome:
    """The outcome of the scenario that the test is marked with."""
    marker = request.node.get_closest_marker("scenario")
    return _outcomes.setdefault(marker.args[0], Outcome(marker.args[0]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    result = yield
    report = result.get_result()  # type: ignore[attr-defined]
    marker = item.get_closest_marker("scenario")
    if marker is None or (report.when != "call" and report.passed):
        return
    mine = _outcomes.setdefault(marker.args[0], Outcome(marker.args[0]))
    if report.passed:
        mine.passed += 1
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        mine.skipped.append(str(reason).removeprefix("Skipped: "))
    else:
        mine.failed.append(item.name)


def pytest_sessionfinish() -> None:
    if _outcomes:
        outcome.save(_outcomes)
