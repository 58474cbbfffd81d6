"""Models: what they are, where they lie, how they read."""

import os

# TensorFlow greets on standard error, and reports the absence of a GPU as an error.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
