"""The proof of acceptance: what was measured is taken up again, and counted with its bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.tensorflow


def test_a_run_goes_on_where_it_ended_unless_something_changed(tmp_path: Path) -> None:
    from bench.acceptance import Outcome, Record, Wrong

    path, about = tmp_path / "out.jsonl", {"model": "ab", "code": "1"}
    wrong = Wrong("a", "_67", "61", "_61", 0.99, 0.99, "sum", [["6", 0.9, "0", 0.1]], ["streaks"])
    found = Outcome("tally", 0, 12, 11, {"LOW_CONFIDENCE": 1}, [wrong])
    record = Record(path, about)
    record.add("tally", 0, found)
    record.add("tally", 1, None)
    assert Record(path, about).found == {("tally", 0): found, ("tally", 1): None}
    assert not Record(path, {**about, "code": "2"}).found


def test_errors_are_counted_with_bounds_and_pages_in_error_apart() -> None:
    from bench.acceptance import Outcome, figures

    pages = [Outcome("tally", n, 12, 11, {"BLANK": 1}) for n in range(800)]
    told = figures([*pages, Outcome("tally", 800, code="UNREGISTERED")])
    assert (told["pages"], told["pages_in_error"]) == (800, 1)
    assert (told["accepted"], told["wrong"], told["review_codes"]) == (8800, 0, {"BLANK": 800})
    assert told["in_review_percent"] == pytest.approx(8.33)
    assert 0.3 < told["at_most_95"] < 0.37 < told["bounds_95"][1]
