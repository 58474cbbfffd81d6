"""The records that travel and that the bucket stores: jobs, chunks, messages, rows, events.

Frozen dataclasses, each with one encoding and one decoding: JSON through ``codec``, Parquet through
``columnar``. Both check every value where it is read. No I/O: whoever has bytes decodes them here,
whoever needs bytes encodes them here. Every room may import it; importing it loads neither pydantic
nor pyarrow.
"""
