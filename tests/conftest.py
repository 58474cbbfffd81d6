"""How `make test` spreads the tests over processes; without ``-n`` nothing here matters."""

from __future__ import annotations

import os

import pytest

#: These wait for real servers and workers most of the time, or train a model.
_SLOW_FOLDERS = ("acceptance", "integration")
_SLOW_MARK = "tensorflow"


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores, since some tests wait; at most four, for memory."""
    return min(4, len(os.sched_getaffinity(0)) + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow modules first, so that what is left at the end is short and all cores are busy."""
    slow = {
        item.path
        for item in items
        if item.path.parent.name in _SLOW_FOLDERS or item.get_closest_marker(_SLOW_MARK)
    }
    items.sort(key=lambda item: item.path not in slow)
