"""What readings mean and whether to believe them: pure functions of a template and of rows.

    readings -> meaning (raw, value) -> kept (a field's own rules) -> evidence (all fields that
    checks tie together) -> judge (statuses) -> settle (people's values, whole documents)

``settle`` is the entrance for who takes rows out, ``judge`` for who reads a page, ``accept`` for
who finds thresholds. Worker, producer and trainer must come to the same answer, so this is part of
the contract: it needs no pixels and no store, and loads neither NumPy nor OpenCV.
"""
