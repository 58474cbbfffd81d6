"""The life of a job in the store: reconciled, finished, expired, deleted.

Producers and workers both call it, so that one place says who writes and who deletes what.
"""
