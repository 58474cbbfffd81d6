"""The life of a job in the store: who writes what, in which order, and who may delete it.

A job is its id. Below ``jobs/<id>/`` only that job ever writes, so nothing here asks whose an
object is. A name is a pointer to ids (`identity`).

    (nothing)
        |  submit: open/<id>, then job.json (open), then names/<name>.json -> <id>
        v
    UPLOADING        record open: chunks are stored, offered to the queue and read
        |  submit: job.json sealed with the number of items of each chunk (If-Match)
        v
    RUNNING          record sealed: each chunk gets one result (If-None-Match, first writer wins)
        |  whoever sees the last result: summary.json (If-None-Match), outbox/<id> if somebody is to
        |  be told, then open/<id> removed
        v
    FINISHED         rows, events, fixes, audits; with a retention: expiry/<day>/<id>

    UPLOADING, RUNNING --cancel--> cancelled.json, record sealed as it is, CANCELLED rows for
                                   every chunk without a result, then FINISHED as above
    FINISHED --quarantine retry--> open/<id>, results and summary of those chunks removed: RUNNING
    any state --delete, expiry---> open/<id> with the label, job.json removed, the rest of
                                   jobs/<id>/ removed, the name released, open/<id> removed

A job of one chunk without a name is written as open/<id>, chunk, job.json already sealed; its
summary is in the metadata of its only result (`summary`).

| object | written by | deleted by |
| --- | --- | --- |
| open/<id> | submit, resume, retry, delete | who finishes or deletes the job; sweeps |
| job.json | submit; cancel seals it | delete, first of all |
| names/<name>.json | submit (claim), compare | delete (release), unless it points elsewhere |
| chunks/, images/ | submit, compare | delete; delete --keep-values |
| results/, pictures/ | workers; cancel | delete; retry; late workers; a cancelled submit |
| attempts/, quarantine/ | workers | delete; delete --keep-values; retry |
| cancelled.json | cancel | delete |
| summary.json | workers, wait, sweeps | delete; retry |
| fixes/, events/, audits/ | people: fix, review import, audit | delete |
| trail/, report.html | the desk | delete |
| review/ | the desk: rounds of tasks, their rows, what is done, remarks | delete |
| purged.json | purge: which kinds were deleted, before they are | delete |
| settled.json | whoever goes through all rows of a finished job | delete |
| outbox/<id> | who finishes the job | the worker that delivered it; delete |
| expiry/<day>/<id> | who finishes the job | who expires it |

Every state survives a kill: what is open has a marker, and sweeps (`reconcile`) list the markers.
A marker without a record, or an open record whose name points elsewhere, is the remains of a
delete or of a submit; after two minutes a sweep removes it (`retention.take_over`).
"""
