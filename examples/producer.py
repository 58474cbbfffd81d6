"""The smallest producer: a folder of scans becomes a table.

    python examples/producer.py scans/ --form examples/forms/tally.yaml

Needs servers and a worker: `inkmill up` in another terminal, in the same folder.
"""

from __future__ import annotations

import argparse

from inkmill import results, submit, wait


def main() -> None:
    parser = argparse.ArgumentParser(description="A folder of scans becomes a table.")
    parser.add_argument("folder")
    parser.add_argument("--form", help="template; without it each image is one digit")
    arguments = parser.parse_args()

    job = submit(arguments.folder, form=arguments.form)
    ended = wait(job)
    for row in results(job):
        values = {field.name: field.value for field in row.fields} or row.digit
        print(row.source, row.page, row.status, row.code or "", values, sep="\t")
    print(f"{ended.rows} rows:", ended.statuses)


if __name__ == "__main__":
    main()
