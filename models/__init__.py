"""Models: their networks and manifests, the registry that stores them, and how they compute.

``manifest`` and ``weights`` describe a model, ``registry`` publishes and fetches versions,
``predictor`` turns crops into calibrated probabilities on one of the ``runtimes``, ``autotune``
measures which is fastest on this host. The room knows
nothing of jobs. The producer may not import it: versions are looked up in
``inkmill.backends.model_index``.
"""

import os

# TensorFlow greets on standard error, and reports the absence of a GPU as an error.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
