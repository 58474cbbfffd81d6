"""Trainings that were submitted, taken from the queue and carried out, one at a time.

``app`` is the Celery application of `inkmill trainer`: a message names a run, ``service`` claims
its record (`inkmill.trainer.runs.queued`) and has it trained by ``child``, a process of its own,
which may be killed without the trainer. ``submitting`` is the other end. Only the command line
enters.
"""
