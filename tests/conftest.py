"""How `make test` spreads the tests over processes; without ``-n`` nothing here matters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

#: These wait for real servers and workers most of the time, or train a model.
_SLOW_FOLDERS = ("acceptance", "integration")
_SLOW_MARK = "tensorflow"
#: They compare with an undisturbed run, which one process makes once.
_WITH_A_CALM_RUN = ("test_delivery.py", "test_worker_faults.py")
#: They set TensorFlow's threads, which can be done once in a process: before others start it.
_WITH_OWN_THREADS = ("test_autotune.py", "test_autotune_engines.py", "test_predictor.py")


class Schedule(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a module share fixtures and stay in one process."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", 1)[0]
        if module.endswith(_WITH_A_CALM_RUN):
            return "with a calm run"
        if module.endswith(_WITH_OWN_THREADS):
            return "with own threads"
        return nodeid if "/acceptance/" in module else module


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores, since some tests wait; at most four, for memory."""
    return min(4, len(os.sched_getaffinity(0)) + 1)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Schedule:
    return Schedule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first: what is left at the end is short, so that no core is idle for long."""
    slow = {
        item.path
        for item in items
        if item.path.parent.name in _SLOW_FOLDERS or item.get_closest_marker(_SLOW_MARK)
    }

    def rank(item: pytest.Item) -> tuple[bool, bool, bool]:
        name = item.path.name
        return name not in _WITH_OWN_THREADS, name not in _WITH_A_CALM_RUN, item.path not in slow

    items.sort(key=rank)


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: only the first engine compiles, and measures which precision is fastest."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return tmp_path_factory.mktemp("cache")
    # The folder of the whole run, above those of its processes.
    shared = tmp_path_factory.getbasetemp().parent / "cache"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture
def with_kernels(cache_folder: Path) -> Iterator[None]:
    """Pages are cut by compiled kernels."""
    from inkmill.forms import kernels

    assert kernels.enable(cache_folder / "kernels")
    yield
    kernels.disable()
