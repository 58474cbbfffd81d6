"""A nightly run that may be started again at any time: by cron, by hand, after a crash.

    python examples/nightly.py 2026-11-22 inbox/2026-11-22 --expect lists/2026-11-22.csv

The name makes it safe: the same night with the same scans goes on where it stopped, and nothing
is read twice. Scans that arrived later are another revision of that night, beside the first.
What was listed and did not come has a row of its own. Scans are deleted after 30 days.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inkmill import submit, wait
from inkmill.errors import InkmillError
from inkmill.producer import export


def main() -> int:
    parser = argparse.ArgumentParser(description="Read a night's scans, once.")
    parser.add_argument("night", help="becomes part of the job's name")
    parser.add_argument("folder")
    parser.add_argument("--form")
    parser.add_argument("--expect", help="list of the scans that must come")
    parser.add_argument("-o", "--output", type=Path, default=Path())
    arguments = parser.parse_args()

    try:
        job = submit(
            arguments.folder,
            form=arguments.form,
            name=f"night-{arguments.night}",
            expect=arguments.expect,
            new_revision=True,
            priority="low",
            retention_days=30,
        )
        ended = wait(job)
        export(job, arguments.output / f"{job}.csv")
    except InkmillError as error:
        print(f"night {arguments.night}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{job}: {ended.rows} rows, {ended.errors} in error")
    return 3 if ended.errors else 0


if __name__ == "__main__":
    sys.exit(main())
