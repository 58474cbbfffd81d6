"""The engine: the child process that decodes strangers' images and runs the model.

Runs in a process of its own (``python -m inkmill.worker.engine.main``), without credentials: chunks
come in through ``inkmill.worker.link``, and rows go out the same way. It may import records,
templates, rules, image headers, forms and models, and of the worker only ``link`` and
``confinement``: no store, no settings, no boto3, no redis, no celery (tests/unit/test_imports.py).

``main`` is the entrance, ``inbox`` whose turn it is, ``model_cache`` the versions in memory,
``prepare`` (form pages) and ``digits`` (digit images) turn bytes into crops, ``compose``, ``pages``
and ``digits`` turn probabilities into rows.
"""
