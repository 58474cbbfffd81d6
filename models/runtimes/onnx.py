"""ONNX Runtime on the processor: the extra "onnx"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError
from inkmill.models.manifest import Manifest
from inkmill.models.weights import Weights

#: Errors only: its warnings are of optimisations that it left out.
_ERRORS = 3


class OnnxRuntime:
    """One session for all batch sizes: it plans its memory at a size's first batch.

    Loading other weights builds another session while the old one still serves.
    """

    def __init__(
        self, manifest: Manifest, arrays: Weights, shapes: Sequence[int], threads: int | None
    ) -> None:
        self._shapes = tuple(shapes)
        self._threads = threads
        self._session = self._open(manifest, arrays)

    def _open(self, manifest: Manifest, arrays: Weights) -> Any:
        """A session, warmed for each batch size."""
        size = manifest.input_size
        try:
            import onnxruntime

            from inkmill.models.runtimes.onnx_graph import onnx_model

            options = onnxruntime.SessionOptions()
            options.log_severity_level = _ERRORS
            options.inter_op_num_threads = 1
            if self._threads is not None:
                options.intra_op_num_threads = self._threads
            # Threads that wait by spinning would take the other engines' cores.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            session = onnxruntime.InferenceSession(
                onnx_model(manifest, arrays).SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
            )
            for count in self._shapes:
                session.run(None, {"crops": np.zeros((count, size, size), np.uint8)})
        # It has a dozen exceptions of its own without a common parent; a broken installation
        # raises ImportError or OSError: whatever it is, this host then does without.
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot compute here: {error}") from error
        return session

    def run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See Runtime.run."""
        (found,) = self._session.run(["probabilities"], {"crops": crops})
        return np.asarray(found, np.float32)

    def load(
        self,
        manifest: Manifest,
        arrays: Weights,
        examples: NDArray[np.uint8] | None = None,  # noqa: ARG002
    ) -> None:
        """See Runtime.load."""
        self._session = self._open(manifest, arrays)
