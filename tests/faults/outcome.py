"""What a fault test found, for the table in docs/explanation/reliability.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "build" / "faults.json"


@dataclass
class Outcome:
    """One scenario: how often the fault struck, seconds to recover from it, and the verdict."""

    scenario: int
    count: int = 0
    recovery: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    passed: int = 0

    def struck(self, times: int = 1, recovery: float | None = None) -> None:
        """The fault was made so often; recovery in seconds."""
        self.count += times
        if recovery is not None:
            self.recovery.append(round(recovery, 2))
            print(f"scenario {self.scenario}: recovered in {recovery:.1f} s")

    def note(self, words: str) -> None:
        """A figure worth a place in the table."""
        self.notes.append(words)
        print(f"scenario {self.scenario}: {words}")


def load() -> dict[int, Outcome]:
    """The outcomes that were saved last, by scenario."""
    if not RESULTS.exists():
        return {}
    saved = json.loads(RESULTS.read_text())
    return {each["scenario"]: Outcome(**each) for each in saved}


def save(outcomes: dict[int, Outcome]) -> None:
    """Save these; scenarios that did not run this time keep what was found before."""
    together = load() | outcomes
    RESULTS.parent.mkdir(exist_ok=True)
    lines = [asdict(together[number]) for number in sorted(together)]
    RESULTS.write_text(json.dumps(lines, indent=1) + "\n")
