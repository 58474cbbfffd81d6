"""From labelled images to a published model.

A config and data flow in, a model's files flow out. ``data`` reads and splits samples, ``crops``
augments them, ``feed`` makes batches in processes of their own, ``train`` runs the ``learner`` and
saves ``checkpoints``, ``measure`` evaluates, ``publish`` calibrates, writes the model card and
gates. `inkmill.trainer.train` is the entrance for a training, ``config`` for its settings.

Needs TensorFlow, except for ``config`` and what only reads data. The command line may enter;
nothing here knows a job, only ``runs`` the store, and only ``queue`` the queue.
"""
