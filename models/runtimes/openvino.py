"""OpenVINO on the processor, from the network's ONNX graph: the extra "openvino"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.models.manifest import Manifest
from inkmill.models.weights import Weights

#: What it computes in; of int8, what stays in float. That is so little that it can be exact.
_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


class OpenvinoRuntime:
    """One compiled model for each batch size: fixed sizes let it choose its kernels once.

    Its weights are packed into the compiled models, so that other weights compile them again,
    beside those that serve.
    """

    def __init__(
        self,
        manifest: Manifest,
        arrays: Weights,
        shapes: Sequence[int],
        numbers: str,
        threads: int | None,
        examples: NDArray[np.uint8] | None = None,
    ) -> None:
        self._shapes = tuple(shapes)
        self._numbers = numbers
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[numbers],
            # An engine reads one batch at a time, and is one share of the cores.
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Every engine of a host would pin its threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        self._requests = self._compile(manifest, arrays, examples)

    def _compile(
        self, manifest: Manifest, arrays: Weights, examples: NDArray[np.uint8] | None
    ) -> dict[int, Any]:
        """A warmed request for each batch size."""
        size = manifest.input_size
        try:
            import openvino

            graph = self._graph(manifest, arrays, examples).SerializeToString()
            core, requests = openvino.Core(), {}
            for count in self._shapes:
                model = core.read_model(graph)
                model.reshape([count, size, size])
                compiled = core.compile_model(model, "CPU", self._settings)
                requests[count] = compiled.create_infer_request()
                requests[count].infer([np.zeros((count, size, size), np.uint8)])
        except ModelError:
            raise
        # OpenVINO raises bare RuntimeErrors, a broken installation ImportError or OSError:
        # whatever it is, this host then does without.
        except Exception as error:
            raise ModelError(f"OpenVINO cannot compute here: {_line(error)}") from error
        return requests

    def _graph(
        self, manifest: Manifest, arrays: Weights, examples: NDArray[np.uint8] | None
    ) -> Any:
        """The ONNX model. Raises ModelError where int8 is without examples, or impossible."""
        if self._numbers != "int8":
            from inkmill.models.runtimes.onnx_graph import onnx_model

            return onnx_model(manifest, arrays)
        from inkmill.models.runtimes.onnx_int8 import int8_model

        if examples is None:
            raise ModelError(
                f"model {manifest.version[:12]} runs in int8 only with its golden set, whose crops "
                "show how large activations become"
            )
        return int8_model(manifest, arrays, examples)

    def run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Runtime.run."""
        request = self._requests[len(crops)]
        request.infer([crops])
        # The tensor is the request's own memory, and the next batch's.
        found: NDArray[np.float32] = np.array(request.get_output_tensor().data, np.float32)
        return found

    def load(
        self, manifest: Manifest, arrays: Weights, examples: NDArray[np.uint8] | None = None
    ) -> None:
        """See Runtime.load."""
        self._requests = self._compile(manifest, arrays, examples)


def has_bfloat16() -> bool:
    """Whether OpenVINO multiplies bfloat16 on this processor: elsewhere the hint is only noise.

    False where OpenVINO does not load: trying its float32 gives the reason.
    """
    try:
        import openvino

        return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except Exception:
        return False


def _line(error: Exception) -> str:
    """The last line of what it says: before it stand the places in its own source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
