"""Pauses before a process that could not run is started again."""

from __future__ import annotations


class Pauses:
    """When the next try follows: after ``first`` seconds, and then after twice the last pause each
    time, up to ``longest``.

    Times are those of `time.monotonic`, and given by the caller.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest, self._next = first, longest, first
        self._until = 0.0
        #: Whether a try has failed, and none is known to have succeeded since.
        self.failing = False

    @property
    def waiting(self) -> bool:
        """Whether a try has failed, and none was made since."""
        return self._until > 0

    def due(self, now: float) -> bool:
        """Whether it may be tried now."""
        return now >= self._until

    def fail(self, now: float) -> float:
        """A try failed; returns the pause before the next one (seconds)."""
        pause, self._next = self._next, min(2 * self._next, self._longest)
        self._until, self.failing = now + pause, True
        return pause

    def tried(self) -> None:
        """Another try is under way; if it fails, the pause is longer."""
        self._until = 0.0

    def forget(self) -> None:
        """It runs: the next failure is followed by the first pause again."""
        self._next, self.failing = self._first, False
