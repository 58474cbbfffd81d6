"""The engines of a worker: started, given chunks, watched, replaced.

Runs in the worker's main process. `EnginePool` is the entrance: tasks go in, chunk results come
out. ``engines`` are its processes, each seen from here by ``handle``; ``devices`` are the predictor
processes, each seen by ``device``. Only the pool uses them.
"""

from inkmill.worker.pool.pool import EnginePool

__all__ = ["EnginePool"]
