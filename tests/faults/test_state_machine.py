"""The state machine of tests/delivery.py, for longer than `make test` has time for."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from inkmill.backends.queue import Queue
from inkmill.worker.chunk import isolation, run
from tests.delivery import Delivery
from tests.faults.outcome import Outcome

_EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "400"))


_LONG = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.scenario(28)
@pytest.mark.timeout(900)
def test_any_order_of_faults(found: Outcome) -> None:
    run_state_machine_as_test(Delivery, settings=_LONG)
    found.struck(_EXAMPLES)


def _always(_: object, __: object) -> bool:
    return True


#: What would break a promise if it were written so: module, name, the defect of each.
_DEFECTS: dict[str, list[tuple[Any, str, Any]]] = {
    # Each of the two makes up for the other.
    "neither a late writer nor who reads the next chunk asks whether the job is still there": [
        (run, "is_wanted", _always),
        (run, "delete_prefix", lambda store, prefix: None),
    ],
    "nobody suspects a chunk that kills": [(isolation, "is_suspected", lambda attempt: False)],
    "what was lost on its way stays lost": [(Queue, "requeue", lambda queue, job, numbers: None)],
}


@pytest.mark.scenario(28)
@pytest.mark.parametrize("defect", _DEFECTS)
def test_planted_defects_are_found(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's verdict is worth."""
    for module, name, wrong in _DEFECTS[defect]:
        monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Delivery,
            settings=settings(
                _LONG, database=None, phases=[Phase.generate], report_multiple_bugs=False
            ),
        )
