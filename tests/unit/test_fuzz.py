"""Some hundred damaged samples for each decoder; tests/faults has a hundred thousand."""

from __future__ import annotations

import pytest

from inkmill.errors import InkmillError
from tests.fuzzing import TARGETS, Target, fuzz

_EXAMPLES, _FEWER = 200, 30
#: These take some milliseconds for each example.
_SLOW = ("archive", "draft's table", "spreadsheet", "template")


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_bytes_are_read_or_refused(name: str) -> None:
    fuzz(TARGETS[name], _FEWER if name in _SLOW else _EXAMPLES)


@pytest.mark.parametrize("name", TARGETS)
def test_samples_are_what_is_read(name: str) -> None:
    """Else only refusals would be tried."""
    for sample in TARGETS[name].samples():
        TARGETS[name].read(sample)


def test_a_crash_is_found() -> None:
    def fragile(data: bytes) -> None:
        if b"\xff\xff" in data:
            raise ZeroDivisionError
        raise InkmillError("no")

    with pytest.raises(ZeroDivisionError):
        fuzz(Target(lambda: [bytes(100)], fragile), 500)
