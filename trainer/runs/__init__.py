"""Runs of trainings: their checkpoints and results, in an object store or a folder.

A learner's arrays flow in, `checkpoints` saves them while the training continues and finds the
newest; ``snapshot`` makes a model of it, ``listing`` shows and deletes runs. ``queued`` is the
record of a run that was submitted, ``stored_models`` keeps models beside runs. ``storage`` is a
folder that behaves like the store.
"""
