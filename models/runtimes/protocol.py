"""What computes a network: TensorFlow, always there, or an extra behind the same interface.

A precision names both the runtime and the numbers it computes in, as rows, ``autotune`` and
`inkmill doctor` show them. Nothing of a runtime is imported before one of its precisions is
opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inkmill.models.manifest import Manifest
from inkmill.models.weights import Weights

_TENSORFLOW, _OPENVINO, _ONNXRUNTIME = "tensorflow", "openvino", "onnxruntime"

#: Precision -> its runtime and what that computes in. TensorFlow's carry no prefix: they are
#: what a job may be pinned to, and what rows have said since before there were others.
_COMPUTED: dict[str, tuple[str, str]] = {
    "float32": (_TENSORFLOW, "float32"),
    "bfloat16": (_TENSORFLOW, "bfloat16"),
    "float16": (_TENSORFLOW, "float16"),
    "openvino-float32": (_OPENVINO, "float32"),
    "openvino-bfloat16": (_OPENVINO, "bfloat16"),
    "openvino-int8": (_OPENVINO, "int8"),
    "onnxruntime-float32": (_ONNXRUNTIME, "float32"),
}
PRECISIONS = tuple(_COMPUTED)

#: The distributions that a runtime needs; the extras read the network as an ONNX graph.
_NEEDED = {
    _TENSORFLOW: ("tensorflow",),
    _OPENVINO: ("openvino", "onnx"),
    _ONNXRUNTIME: ("onnxruntime", "onnx"),
}


class Runtime(Protocol):
    """A network, compiled for a few batch sizes and warmed."""

    def run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities, float32 (n, classes), of crops, uint8 (n, size, size).

        n is one of the batch sizes that it was opened with. The result is the caller's own.
        """
        ...

    def load(
        self, manifest: Manifest, arrays: Weights, examples: NDArray[np.uint8] | None = None
    ) -> None:
        """Take the weights of another version of the same network; ``examples`` as at opening.

        Raises ModelError where it cannot, and then still has the old ones, all of them.
        """
        ...


def open_runtime(
    precision: str,
    manifest: Manifest,
    arrays: Weights,
    shapes: Sequence[int],
    threads: int | None,
    examples: NDArray[np.uint8] | None = None,
) -> Runtime:
    """The network in one of ``PRECISIONS``.

    ``examples`` are crops, uint8 (n, size, size), for a precision that `needs_examples`; others
    ignore them. Raises ModelError where this host cannot do it, or they are missing.
    """
    name, numbers = _COMPUTED[precision]
    if name == _OPENVINO:
        from inkmill.models.runtimes.openvino import OpenvinoRuntime

        return OpenvinoRuntime(manifest, arrays, shapes, numbers, threads, examples)
    if name == _ONNXRUNTIME:
        from inkmill.models.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(manifest, arrays, shapes, threads)
    from inkmill.models.runtimes.tensorflow import TensorflowRuntime

    return TensorflowRuntime(manifest, arrays, shapes, numbers, threads)


def available() -> tuple[str, ...]:
    """The precisions to try on this host: those of TensorFlow, and of each extra that is here.

    float16 is for graphics processors, since processors that compute in it are rare. OpenVINO
    takes bfloat16 on every processor and then computes in float32 where there is none.
    """
    from inkmill.models.runtimes import tensorflow

    found = ["float32", "bfloat16"]
    if tensorflow.has_gpu():
        found.append("float16")
    here = runtimes()
    if _OPENVINO in here:
        from inkmill.models.runtimes import openvino

        found.append("openvino-float32")
        if openvino.has_bfloat16():
            found.append("openvino-bfloat16")
        found.append("openvino-int8")
    if _ONNXRUNTIME in here:
        found.append("onnxruntime-float32")
    return tuple(found)


def runtimes() -> dict[str, str]:
    """The runtimes installed with all that they need, and their versions; imports none."""
    found = {}
    for name, needed in _NEEDED.items():
        try:
            found[name], *_ = [version(each) for each in needed]
        except PackageNotFoundError:
            continue
    return found


def stopwatch() -> Callable[[], float]:
    """What to time a network by: the processor time of all threads of this process, which does not
    grow while others have the processors; the clock where a graphics processor computes."""
    from inkmill.models.runtimes import tensorflow

    return time.perf_counter if tensorflow.has_gpu() else time.process_time


def is_tensorflow(precision: str) -> bool:
    """Whether a precision is one of TensorFlow's own."""
    return _COMPUTED[precision][0] == _TENSORFLOW


def numbers_of(precision: str) -> str:
    """What a precision computes in: "float32", "bfloat16", "float16" or "int8"."""
    return _COMPUTED[precision][1]


def needs_examples(precision: str) -> bool:
    """Whether a precision takes from example crops how large activations become."""
    return numbers_of(precision) == "int8"
