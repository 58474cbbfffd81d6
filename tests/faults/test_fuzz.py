"""A hundred thousand damaged samples for each decoder, or as many as FUZZ_EXAMPLES says."""

from __future__ import annotations

import os

import pytest

from tests.faults.outcome import Outcome
from tests.fuzzing import TARGETS, fuzz

_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100000"))


@pytest.mark.scenario(35)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_bytes_are_read_or_refused(name: str, found: Outcome) -> None:
    fuzz(TARGETS[name], _EXAMPLES)
    found.struck(_EXAMPLES)
