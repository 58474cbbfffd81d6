"""Export a model for other runtimes, as SavedModel or ONNX, checked against the golden set.

Both take crops, uint8 (n, size, size), and return calibrated probabilities, float32 (n, classes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError, UsageError
from inkmill.models.cascade import divided
from inkmill.models.runtimes.onnx_graph import onnx_model
from inkmill.models.weights import Golden, ModelFiles, decode_weights

#: Largest allowed difference of a probability: other runtimes sum in another order.
_TOLERANCE = 1e-3


def export_savedmodel(files: ModelFiles, folder: Path) -> float:
    """Write a SavedModel; returns the largest difference from the golden set.

    Raises UsageError if ``folder`` is not empty, ModelError if the readings differ.
    """
    import tensorflow as tf

    from inkmill.models.network import Network

    _check_exported(files)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty: choose a new folder")
    manifest = files.manifest
    arrays, _ = divided(decode_weights(files.weights, manifest))
    network = Network(manifest.layers, arrays)
    size = manifest.input_size

    def serve(crops: Any) -> dict[str, Any]:
        found = tf.nn.softmax(network.logits(crops) / manifest.temperature)
        floor = manifest.floor
        return {"probabilities": found * (1.0 - floor) + floor / len(manifest.classes)}

    module = tf.Module()
    module.held = list(network.variables.values())
    signature = tf.TensorSpec((None, size, size), tf.uint8, name="crops")
    module.serve = tf.function(serve, input_signature=[signature], autograph=False)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    loaded = tf.saved_model.load(str(folder)).signatures["serving_default"]
    golden = Golden.decode(files.golden, manifest)
    found = loaded(crops=tf.constant(golden.crops))["probabilities"].numpy()
    return _compare("SavedModel", golden, found)


def export_onnx(files: ModelFiles, path: Path) -> float:
    """Write an ONNX file; returns the largest difference from the golden set.

    Raises UsageError without the extra "onnx", ModelError if the readings differ.
    """
    _check_exported(files)
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"ONNX export needs {error.name}: install it by pip install 'inkmill[onnx]'"
        ) from None
    manifest = files.manifest
    arrays, _ = divided(decode_weights(files.weights, manifest))
    model = onnx_model(manifest, arrays)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    golden = Golden.decode(files.golden, manifest)
    found = session.run(["probabilities"], {"crops": golden.crops})[0]
    return _compare("ONNX", golden, np.asarray(found))


def _check_exported(files: ModelFiles) -> None:
    if files.manifest.reads_strips:
        raise UsageError(
            f"model {files.manifest.version[:12]} reads strips, which Inkmill decodes: "
            "only models of digits are exported; use inkmill.models.strips.StripReader"
        )


def _compare(what: str, golden: Golden, found: NDArray[Any]) -> float:
    difference = float(np.abs(found - golden.probabilities).max())
    if found.shape != golden.probabilities.shape or difference > _TOLERANCE:
        raise ModelError(
            f"{what}: its probabilities differ from the golden set's by {difference:.4f} "
            f"(allowed: {_TOLERANCE}): do not use the exported model"
        )
    return difference
