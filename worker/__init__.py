"""The worker: chunks in, rows out.

It runs in several processes. The main one, under Celery, holds the credentials and talks to the
store and to Redis. For each core it starts an engine, a child process that decodes strangers'
images and runs the model; an engine has no credentials and may crash.

- Main process: ``app`` (the Celery application and its task), ``service`` (start, housekeeping,
  drain, stop), ``patience`` (waiting for servers that are away), ``sizing`` (engines, threads and
  slots),
  ``live_models`` (which versions serve), ``chunk`` (what happens to one chunk: start reading at
  ``chunk.run``) and ``pool`` (the engines, seen from here).
- Engines: ``engine``. Predictor processes of GPUs: ``device``.
- All of them: ``link``, the messages between them. The children: ``confinement``, what they give
  up.

``reread`` reads a single page in the caller's own process, for ``inkmill fix``. This module imports
nothing: engines load it too.
"""
