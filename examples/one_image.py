"""One image at a time, quickly, as a web form would: many small jobs, one connection.

    python examples/one_image.py digit1.png digit2.png

A connection is made once and shared by all threads. Each image is a job of its own: three small
objects and one message. With priority "high" it overtakes large jobs that are waiting.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from inkmill import results, submit, wait
from inkmill.producer import connect
from inkmill.records.rows import Row


def main() -> None:
    connection = connect()

    def read(path: str) -> tuple[Row, float]:
        began = time.perf_counter()
        job = submit(path, priority="high", connection=connection)
        wait(job, timeout=60, connection=connection)
        (row,) = results(job, connection=connection)
        return row, time.perf_counter() - began

    with ThreadPoolExecutor(8) as pool:
        for row, seconds in pool.map(read, sys.argv[1:]):
            print(row.source, row.digit or row.code, f"{seconds * 1000:.0f} ms", sep="\t")


if __name__ == "__main__":
    main()
