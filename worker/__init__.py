"""The worker: chunks in, rows out.

Two processes. Beside Celery, with credentials: ``app`` (the Celery application and its one task),
``service`` (a worker's life), ``channel`` (messages leave Redis), ``chunk`` (what happens to one
chunk: start reading here), ``live_models`` (which versions serve), ``pool`` (the engines as
processes). In the engines, with strangers' bytes and no credentials: ``engine``. Between them:
``link``.
"""
