"""How far a submit is: what its caller is told after each chunk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Sending:
    """How far a submit is; ``note`` says in words what it found out about the job, ``unkeyed``
    which sources and keys of a side table did not find each other."""

    job: str = ""
    items: int = 0
    bytes: int = 0
    chunks: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    note: str = ""
    unkeyed: str = ""
    sealed: bool = False
