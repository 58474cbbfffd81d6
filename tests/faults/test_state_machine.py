"""The state machine of tests/delivery.py, for longer than `make test` has time for."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.delivery import Delivery
from tests.faults.outcome import Outcome

_EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "400"))


@pytest.mark.scenario(28)
@pytest.mark.timeout(900)
def test_any_order_of_faults(found: Outcome) -> None:
    run_state_machine_as_test(
        Delivery,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    found.struck(_EXAMPLES)
