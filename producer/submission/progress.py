"""The progress of a submit, as its caller gets it after each chunk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Sending:
    """The progress of a submit.

    Attributes:
        job: The job's name, or its id if it has none; empty before the first chunk.
        items: Items so far.
        bytes: Bytes of their images so far, without those stored as objects of their own.
        chunks: Chunks so far.
        passed_over: Files that were skipped, counted by reason.
        note: What the submit found out about the job, such as that it is already finished.
        unkeyed: Sources and keys of the table ``keys`` that do not match.
        sealed: Whether the job is stored completely.
    """

    job: str = ""
    items: int = 0
    bytes: int = 0
    chunks: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    note: str = ""
    unkeyed: str = ""
    sealed: bool = False
