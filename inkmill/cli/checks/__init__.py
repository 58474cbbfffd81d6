"""What `inkmill doctor` looks at in depth: checks of an object store and of a Redis.

Each is a generator of `CheckResult`; `inkmill.cli.commands.doctor` runs and prints them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CheckResult"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check: fine or not, what was found, and what to do."""

    what: str
    fine: bool
    seen: str
    remedy: str = ""
