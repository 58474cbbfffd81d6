"""From a page's bytes to its cells, and from the cells' readings to its fields.

Bytes and a template flow in. ``intake`` decodes a page, ``locate`` finds the template on it,
``reader`` cuts the cells with ``cut``, and a model's readings become fields in ``field_results``.
``make`` and ``synth`` are for people who make templates and for tests: drafts from a blank, and
synthetic scans with known ground truth.

Needs OpenCV. The worker's engine, the trainer and the command line may enter; nothing here knows
the store, the queue or a job.
"""
