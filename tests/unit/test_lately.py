"""What a worker knows of the store is at most so old."""

from __future__ import annotations

import pytest

from inkmill.backends import ttl_cache
from inkmill.backends.ttl_cache import TTLCache
from inkmill.errors import Unreachable


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ttl_cache, "time", made)
    return made


def test_a_value_is_read_again_when_it_is_too_old(clock: Clock) -> None:
    asked: list[str] = []
    known = TTLCache(2.0, lambda key: asked.append(key) or len(asked))  # type: ignore[func-returns-value]
    assert [known.get("a"), known.get("a"), known.get("b")] == [1, 1, 2]
    clock.now += 1.9
    assert known.get("a") == 1
    clock.now += 0.2
    assert known.get("a") == 3
    known.forget("a")
    assert known.get("a") == 4


@pytest.mark.usefixtures("clock")
def test_an_error_is_not_kept() -> None:
    answers = iter([Unreachable("away"), None])

    def read(_: str) -> bool:
        if (error := next(answers)) is not None:
            raise error
        return True

    known = TTLCache(2.0, read)
    with pytest.raises(Unreachable):
        known.get("a")
    assert known.get("a") is True
