"""The predictor process: computes the network on a device, such as a GPU, for several engines.

Runs in a process of its own (``python -m inkmill.worker.device.main``), one for each device, owned
by the worker as engines are. Crops come in from engines, probabilities go out; models come from the
worker. Like an engine, it has no credentials, and may import no store, settings or client
(tests/unit/test_imports.py).

``main`` is the entrance, ``server`` talks to engines, ``gathering`` makes one batch of several
requests, ``models`` are the versions in memory, ``tensorflow`` the device.
"""
