"""The demo, and the one-shot command, from an empty folder."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from tests.acceptance.conftest import ROOT, Run

EXAMPLES = ROOT / "examples"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_demo_reads_the_sample_scans(inkmill: Run, tmp_path: Path) -> None:
    done = inkmill("demo", "--samples", EXAMPLES)

    assert done.returncode == 0, done.stderr
    truth = rows_of(EXAMPLES / "scans" / "forms" / "truth.csv")
    table = {(row["source"], row["page"]): row for row in rows_of(tmp_path / "results.csv")}
    assert set(table) == {(line["source"], line["page"]) for line in truth}
    fields = [name for name in truth[0] if name not in ("source", "page")]
    pairs = [
        (table[line["source"], line["page"]], line, field) for line in truth for field in fields
    ]
    right = sum(row[field] == line[field] for row, line, field in pairs)
    assert right / len(pairs) > 0.95
    # What was accepted without a person looking at it is right.
    wrong = [
        (line["source"], field, row[field], line[field])
        for row, line, field in pairs
        if row[f"{field}_status"] == "ok" and row[field] != line[field]
    ]
    assert len(wrong) <= 1, wrong
    digits = re.search(r"(\d+) digit images: (\d+) correct", done.stdout)
    assert digits, done.stdout
    assert int(digits[2]) / int(digits[1]) > 0.96
    # Everything that it started is stopped: nothing answers to a command in this folder.
    assert inkmill("jobs").returncode == 5


def test_run_makes_a_table_in_one_shot(inkmill: Run, tmp_path: Path) -> None:
    scans = EXAMPLES / "scans" / "digits"
    done = inkmill("run", scans, "-o", "out.csv", "--strict")

    assert done.returncode == 0, done.stderr
    table = {row["source"]: row["digit"] for row in rows_of(tmp_path / "out.csv")}
    truth = {row["source"]: row["digit"] for row in rows_of(scans / "truth.csv")}
    assert set(table) == set(truth)
    assert sum(table[name] == digit for name, digit in truth.items()) / len(truth) > 0.96


def test_words_instead_of_a_traceback(inkmill: Run, tmp_path: Path) -> None:
    for arguments, code, words in (
        (("run", "no-such-folder"), 2, "no-such-folder"),
        (("status", "nothing"), 5, "inkmill up"),
        (("demo", "--samples", tmp_path), 2, "--samples"),
        (("submit",), 2, "PATH"),
    ):
        done = inkmill(*arguments)
        assert done.returncode == code, done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
