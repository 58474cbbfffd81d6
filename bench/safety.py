"""S: what care costs: part A with and without checksums and records of deliveries.

The careless worker is the real one, changed at its start as the fault suite does it
(tests/faults/hooks): no object's digest is computed or compared, and Redis is not told which
messages are in hand, nor when they are done.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

from bench import bare, pipeline
from bench.frame import in_turn
from bench.material import digit_items

_HOOKS = Path(__file__).parent.parent / "tests" / "faults" / "hooks"


def main(seconds: float, repeats: int) -> None:
    """Both sides in turn, each for about so many seconds, so often."""
    with pipeline.servers() as running:
        rate = bare.processes("digits", 2, 5.0)["rate"]
        record = pipeline.upload(running, "bench-s", digit_items(int(rate * seconds)))

        as_it_is = pipeline.side(running, record, 2)

        def careless() -> dict[str, Any]:
            environment = {"PYTHONPATH": str(_HOOKS), "FAULTS": "no_checksums,no_records"}
            with mock.patch.dict(os.environ, environment):
                return as_it_is()

        in_turn("S", seconds, {"as it is": as_it_is, "without care": careless}, repeats)
