"""What `inkmill train` and `inkmill trainer` share.

A finished training flows into ``finished``, which writes and publishes its model; ``submitted`` has
trainings carried out by trainers, and is what a trainer's child process runs.
"""
