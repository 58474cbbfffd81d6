"""The engines of a worker: started, given chunks, watched, replaced.

Runs in the worker's main process. `EnginePool` is the entrance: tasks go in, chunk results come
out. ``handle`` is one engine process seen from here; only the pool uses it.
"""

from inkmill.worker.pool.pool import EnginePool

__all__ = ["EnginePool"]
