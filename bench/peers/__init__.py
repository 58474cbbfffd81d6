"""What people would use instead of a mill, each with its documented best settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import mill


def sides(running: mill.Servers, seconds: float) -> dict[str, Callable[[], dict[str, Any]]]:
    return {}
