"""The records that travel and that the bucket stores: jobs, chunks, messages, rows, events.

Frozen data with one encoding and one decoding each. No I/O: whoever has bytes decodes them here,
whoever needs bytes encodes them here. Every room may import it.
"""
