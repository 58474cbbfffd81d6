"""The precision and runtime in which a network runs on this host: measured, cached, and doubted.

bfloat16 doubles the speed of a processor that multiplies it (AVX-512 BF16, AMX) and makes
others many times slower; only a measurement shows which. OpenVINO and ONNX Runtime take part
where they are installed. The first engine that loads a network runs the ``contest``, and the
``verdict`` is written down in the ``cache`` folder. Later loads of any version of that network, in
any engine of this host, follow it; each version is still checked against its own golden set. An
idle engine measures again where the verdict was found on a busy ``host``, or promised more than
the engine reached.
"""

from inkmill.models.autotune.cache import instead_of, precision_for, reconsider, tunings
from inkmill.models.autotune.contest import GaveWay, measure
from inkmill.models.autotune.host import OtherWork, host
from inkmill.models.autotune.verdict import FLOAT32, QUIET, Trial, Tuning, fastest

__all__ = [
    "FLOAT32",
    "QUIET",
    "GaveWay",
    "OtherWork",
    "Trial",
    "Tuning",
    "fastest",
    "host",
    "instead_of",
    "measure",
    "precision_for",
    "reconsider",
    "tunings",
]
