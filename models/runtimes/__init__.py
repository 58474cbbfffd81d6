"""The runtimes that compute a network, behind one protocol.

``protocol`` is the interface, and opens a runtime by its precision; ``tensorflow``, ``onnx`` and
``openvino`` implement it. Crops go in, calibrated probabilities come out. Importing the package
loads no runtime. Which one a host uses is measured by `inkmill.models.autotune`.
"""

from inkmill.models.runtimes.protocol import PRECISIONS, Runtime, available, open_runtime, runtimes

__all__ = ["PRECISIONS", "Runtime", "available", "open_runtime", "runtimes"]
