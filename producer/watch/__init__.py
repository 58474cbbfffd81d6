"""Watching a folder or an S3 prefix: every file that arrives is submitted, once.

`Watch.look` finds files that have arrived whole (`arrivals`), records them as a
`batches.WatchBatch` in the store under a number that only one watcher can claim, submits it as a
job whose name contains that number, and marks it as submitted. `watch` looks again and again. Used
by ``inkmill watch``; uses inputs and
submission.

After a kill anywhere in between, the next start finds the batches that are not marked and submits
them again, which does nothing twice. Two watchers of one place share the work in the same way. A
marked batch is never submitted again, whatever happens to its job.

If files of an interrupted batch changed meanwhile, its job cannot be continued: the whole batch
becomes a revision of that job, which is then cancelled with what was uploaded of it.
"""

from inkmill.producer.watch.loop import watch
from inkmill.producer.watch.places import default_name
from inkmill.producer.watch.watcher import Watch

__all__ = ["Watch", "default_name", "watch"]
