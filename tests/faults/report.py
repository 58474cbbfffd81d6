"""Makes the table of docs/explanation/reliability.md from what the suite and the soak saved."""

from __future__ import annotations

from pathlib import Path

from tests.faults import outcome
from tests.faults.outcome import Outcome

_PAGE = Path(__file__).parents[2] / "docs/explanation/reliability.md"
_BEGIN, _END = "<!-- table: made by make test-faults -->", "<!-- end of table -->"

#: The rows: what is done to the cluster, and what it must do.
SCENARIOS = {
    1: ("kill -9 of random workers under load", "nothing lost"),
    2: ("kill -9 between Redis's pop and the unacked record", "the reconciler resends it"),
    3: ("kill -9 after the result is written, before the ack", "one object"),
    4: ("kill -9 of an engine during a batch", "the chunk completes without redelivery"),
    5: ("SIGTERM, idle, busy, and past the drain deadline", "exit code 0, nothing unacked"),
    6: ("SIGTERM, then SIGKILL", "repeats only, same rows"),
    7: ("Redis killed and restarted, idle and busy", "resumes by itself"),
    8: ("Redis emptied or replaced", "rebuilt from the store"),
    9: (
        "Redis out of memory (noeviction)",
        "submit reports it; workers survive; continues when memory is freed",
    ),
    10: ("connections to Redis fall silent for 60 s", "resumes within two health intervals"),
    11: (
        "S3 answers 500 and 503, hangs, cuts, loses answers",
        "no attempt counted, bounded memory",
    ),
    12: ("S3 refuses (403), bucket gone", "reports why, keeps the messages, continues when fixed"),
    13: ("uploads cut off; objects damaged, truncated, gone", "named, read again, or error rows"),
    14: ("image that crashes the decoder", "at most 2 engine deaths, one error row"),
    15: ("image that hangs the decoder", "killed at its deadline, one error row"),
    16: ("image that eats memory", "the engine dies, the worker lives, one error row"),
    17: ("item that kills whole workers", "counted, found, quarantined; can be retried"),
    18: (
        "slower than the visibility timeout; paused beyond it",
        "one object, late writer harmless",
    ),
    19: ("clock wrong by 10 minutes on one worker", "nothing delivered twice; a warning"),
    20: ("producer killed at each step, then the same submit", "no duplicate, the job completes"),
    21: ("malformed, foreign, oversized, replayed messages", "set aside, counted, never executed"),
    22: (
        "models partly written, corrupt, of wrong shapes, NaN; a race",
        "never served, the old version continues",
    ),
    23: ("rolling deploy; newer objects and older workers", "every row names its model"),
    24: ("ten times more work than capacity", "bounded memory everywhere"),
    25: ("disk full, read-only folders, no /dev/shm", "degraded, never wrong rows"),
    26: ("two reconcilers, three waiters, five workers", "nothing is sent twice"),
    27: ("cancel, delete, new revision while it runs", "as documented, nothing left behind"),
    28: ("any order of faults (state machine)", "every guarantee kept"),
    29: ("soak: random faults", "every guarantee kept"),
    30: (
        "10,000 damaged image and PDF files",
        "no crash, hang or wrong row; each row names the damage",
    ),
    31: ("a host with its own address loses its network", "the others finish; it comes back"),
    32: ("kill -9 of a worker, with default timeouts", "its chunks are read within 60 s"),
    33: ("an autoscaler starts and stops workers by the backlog", "from none to six and back"),
    34: ("two failovers by Sentinel within a job", "resumes by itself, nothing lost"),
    35: ("100,000 damaged inputs for each decoder", "read or refused in words, in bounds"),
    36: (
        "hostile messages: headers, bodies, raw entries",
        "no worker ends; no effect, or set aside",
    ),
    37: ("hostile entries in the keys of Redis", "no worker ends; chunks go on"),
    38: ("hostile records and objects in the bucket", "passed over and named; other jobs go on"),
    39: ("hostile files in a folder", "each has its row, or is passed over; nothing hangs"),
}

#: Seconds to recover in a quiet run of commit 966f651, before workers were judged by their silence,
#: messages rebuilt, and records bounded; 32 is the timeout after which chunks went back then.
BEFORE = {
    1: "14.4",
    2: "5.5",
    3: "15.2",
    4: "0.2 to 0.3",
    5: "1.3 to 4.8",
    6: "20.8",
    7: "2.0 to 5.3",
    8: "5.2 to 5.4",
    9: "12.9",
    10: "4.4",
    11: "0.8 to 7.7",
    12: "6.8 to 10.6",
    13: "0.0 to 2.2",
    14: "8.8 to 26.7",
    15: "15.6",
    16: "9.9",
    17: "42.6",
    18: "0.0 to 14.5",
    19: "0.0",
    20: "0.2 to 1.2",
    21: "0.4",
    23: "0.8 to 11.5",
    25: "0.2 to 0.2",
    26: "2.0",
    27: "0.0 to 1.7",
    31: "2.5 to 15.4",
    32: "300",
}


def table(outcomes: dict[int, Outcome]) -> str:
    """The Markdown table; scenarios that never ran say so."""
    lines = [
        "| # | fault | must show | result | faults | seconds to recover | before | notes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, (fault, wanted) in SCENARIOS.items():
        found = outcomes.get(number, Outcome(number))
        notes = "; ".join([*found.notes, *found.skipped, *found.failed])
        times = _span(found), BEFORE.get(number, "")
        cells = (number, fault, wanted, _result(found), found.count or "", *times, notes)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _result(found: Outcome) -> str:
    if found.failed:
        return "**failed**"
    if found.passed:
        return "held"
    return "skipped" if found.skipped else "not run"


def _span(found: Outcome) -> str:
    if not found.recovery:
        return ""
    low, high = min(found.recovery), max(found.recovery)
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"


def main() -> None:
    """Replace the table in the page."""
    text = _PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    made = table(outcome.load())
    _PAGE.write_text(f"{before}{_BEGIN}\n\n{made}\n\n{_END}{after}", encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
