"""Fixtures of the fault suite: a cluster for each test, and the outcomes of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inkmill.backends.store import open_store
from inkmill.local.servers import Stack
from inkmill.models.pretrained import load
from inkmill.models.registry import Registry
from inkmill.settings import Settings
from tests.faults import outcome
from tests.faults.calm import calm_run
from tests.faults.checker import Calm
from tests.faults.cluster import Cluster
from tests.faults.outcome import Outcome
from tests.integration.conftest import cache_folder, settings, stack  # noqa: F401 - fixtures

_outcomes: dict[int, Outcome] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def calm(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Calm:  # noqa: F811
    """Rows of a run that nothing disturbed, by digit: what every other run is compared with."""
    return calm_run(stack, tmp_path_factory.mktemp("calm"))


@pytest.fixture
def cluster(
    stack: Stack,  # noqa: F811
    settings: Settings,  # noqa: F811
    tmp_path: Path,
    calm: Calm,
) -> Iterator[Cluster]:
    """Servers with a model, and workers as the test wants them."""
    Registry(open_store(settings), settings.model).publish(load())
    made = Cluster(stack, settings, tmp_path, calm)
    yield made
    made.close()


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
