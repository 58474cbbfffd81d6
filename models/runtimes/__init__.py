"""The runtimes that compute a network, behind one protocol, and the choice between them.

``protocol`` is the interface, and opens a runtime by its precision; ``tensorflow``, ``onnx`` and
``openvino`` implement it; ``autotune`` measures which is fastest on this host. Crops go in,
calibrated probabilities come out. Importing the package loads no runtime.
"""

from inkmill.models.runtimes.protocol import PRECISIONS, Runtime, available, open_runtime, runtimes

__all__ = ["PRECISIONS", "Runtime", "available", "open_runtime", "runtimes"]
