"""The services that Inkmill runs on: object storage, Redis and Celery.

``store`` is the protocol of object storage with its S3 and in-memory implementations, ``queue``
holds what Redis knows of jobs and chunks, ``broker`` the connection and Celery's configuration.
``model_index`` and ``event_log`` are the homes of two look-ups that several rooms need: versions
of a model, and the values that people typed. ``ttl_cache`` keeps answers of the store for some
seconds. Objects and messages flow through; ``inkmill.lifecycle`` decides what they mean. The
engine process may import none of it.
"""
