"""Fixtures for tests that need no server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import FakeCluster, png


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def scans(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of digit images: names, each with another content."""

    def make(names: list[str] | int = 5, folder: str = "scans") -> Path:
        listed = (
            [f"{number:03d}.png" for number in range(names)] if isinstance(names, int) else names
        )
        root = tmp_path / folder
        for seed, name in enumerate(listed):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(seed + len(folder) * 1000))
        return root

    return make
