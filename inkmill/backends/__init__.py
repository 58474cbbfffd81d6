"""The services behind Inkmill: object storage, Redis and Celery.

``store`` is the protocol of object storage with its S3 and in-memory implementations, ``queue``
what Redis holds of jobs and chunks, ``broker`` the connection and Celery's configuration. Objects
and messages flow through; what they mean is decided in ``inkmill.lifecycle``.
"""
