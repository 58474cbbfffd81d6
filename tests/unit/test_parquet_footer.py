"""The footer of a Parquet object says the same to us as to pyarrow, and cannot end the process."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inkmill.records.parquet_footer import ColumnSize, column_sizes


def made(rows: int, group: int, **options: Any) -> bytes:
    table = pa.table(
        {
            "name": [f"scan {k % 7}" for k in range(rows)],
            "data": [bytes([k % 256]) * (k % 50) for k in range(rows)],
            "lists": [list(range(k % 5)) for k in range(rows)],
            "records": [{"a": k, "b": None} for k in range(rows)],
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=group, **options)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("dictionary", [True, False, ["name"]])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_it_says_what_pyarrow_says(dictionary: object, compression: str) -> None:
    data = made(300, 90, use_dictionary=dictionary, compression=compression)
    about = pq.ParquetFile(pa.BufferReader(data)).metadata
    parts = [
        about.row_group(group).column(column)
        for group in range(about.num_row_groups)
        for column in range(about.num_columns)
    ]
    assert column_sizes(data) == [
        ColumnSize(each.total_uncompressed_size, each.num_values, each.has_dictionary_page)
        for each in parts
    ]
    assert len(parts) == 4 * 5


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_footer_is_read_or_refused(seed: int) -> None:
    rng, data = random.Random(seed), made(20, 20)
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    refused = 0
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 9])):
            damaged[rng.randrange(start, len(data))] = rng.randrange(256)
        try:
            assert all(each.size >= 0 and each.values >= 0 for each in column_sizes(bytes(damaged)))
        except ValueError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1\x00\x00\x00\x00PAR1", b"\xff" * 4 + b"PAR1"])
def test_what_has_no_footer_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"its footer|Parquet"):
        column_sizes(data)


def test_a_footer_that_claims_everything_ends_soon() -> None:
    # A list of 2**60 structs, and structs within structs.
    for claim in (b"\x49\xfc" + b"\xff" * 8 + b"\x0f" + b"\x00" * 64, b"\x1c" * 5000):
        data = claim + len(claim).to_bytes(4, "little") + b"PAR1"
        with pytest.raises(ValueError, match="its footer"):
            column_sizes(data)
