"""Models for other runtimes: SavedModel and ONNX, checked against the golden set.

Both take crops, uint8 (n, size, size), and give calibrated probabilities, float32 (n, classes).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.errors import ModelError, UsageError
from inkmill.models.lenet import Conv, Dense, Dropout, Pool
from inkmill.models.manifest import Manifest
from inkmill.models.weights import Golden, ModelFiles, Weights, decode_weights

#: Other runtimes sum in another order; a probability may differ by this much.
_TOLERANCE = 1e-3
#: ONNX operator set 17 is known to every runtime since 2022.
_OPSET = 17


def export_savedmodel(files: ModelFiles, folder: Path) -> float:
    """Write a SavedModel; returns the largest difference from the golden set.

    Raises UsageError if ``folder`` is not empty, ModelError if the readings differ.
    """
    import tensorflow as tf

    from inkmill.models.network import Network

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty: name a new folder")
    manifest = files.manifest
    network = Network(manifest.layers, decode_weights(files.weights, manifest))
    size = manifest.input_size

    def serve(crops: Any) -> dict[str, Any]:
        logits = network.logits(crops)
        return {"probabilities": tf.nn.softmax(logits / manifest.temperature)}

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
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"ONNX export wants {error.name}: install it by pip install 'inkmill[onnx]'"
        ) from None
    manifest = files.manifest
    model = onnx_model(manifest, decode_weights(files.weights, manifest))
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    golden = Golden.decode(files.golden, manifest)
    found = session.run(["probabilities"], {"crops": golden.crops})[0]
    return _compare("ONNX", golden, np.asarray(found))


def _compare(what: str, golden: Golden, found: NDArray[Any]) -> float:
    difference = float(np.abs(found - golden.probabilities).max())
    if found.shape != golden.probabilities.shape or difference > _TOLERANCE:
        raise ModelError(
            f"{what}: its readings differ from the golden set's by {difference:.4f} "
            f"(allowed {_TOLERANCE}): do not use what was written"
        )
    return difference


class _Graph:
    """An ONNX graph that grows one node after another."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "crops"

    def add(self, kind: str, *constants: NDArray[Any], **attributes: Any) -> None:
        """Append a node that takes the last output, then constants."""
        from onnx import helper, numpy_helper

        names = []
        for value in constants:
            names.append(f"constant{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(value, names[-1]))
        output = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [self.last, *names], [output], **attributes))
        self.last = output


def onnx_model(manifest: Manifest, weights: Weights) -> Any:
    """The network as an ONNX model, written node by node."""
    from onnx import TensorProto

    graph = _Graph()
    size = manifest.input_size
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Mul", np.array(1 / 255, np.float32))
    graph.add("Reshape", np.array([-1, 1, size, size], np.int64))
    convs, denses, flat = 0, 0, False
    for layer in manifest.layers:
        match layer:
            case Conv():
                convs += 1
                _add_conv(graph, layer, weights, f"conv{convs}")
            case Pool(side, how):
                kind = "MaxPool" if how == "max" else "AveragePool"
                graph.add(kind, kernel_shape=[side, side], strides=[side, side])
            case Dense(_, activation):
                denses += 1
                flat = flat or _flatten(graph)
                _add_dense(graph, weights, f"dense{denses}")
                graph.add("Relu" if activation == "relu" else "Tanh")
            case Dropout():
                pass
    if not flat:
        _flatten(graph)
    _add_dense(graph, weights, "logits")
    graph.add("Div", np.array(manifest.temperature, np.float32))
    graph.add("Softmax", axis=1)
    graph.nodes[-1].output[0] = "probabilities"
    return _as_model(graph, manifest)


def _as_model(graph: _Graph, manifest: Manifest) -> Any:
    """The finished graph with its input and output, version and classes."""
    from onnx import TensorProto, helper

    size = manifest.input_size
    inputs = [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", size, size])]
    outputs = [
        helper.make_tensor_value_info(
            "probabilities", TensorProto.FLOAT, ["n", len(manifest.classes)]
        )
    ]
    body = helper.make_graph(graph.nodes, "inkmill", inputs, outputs, graph.constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)])
    # The checker and older runtimes refuse a file format newer than the operator set's.
    model.ir_version = 8
    helper.set_model_props(
        model, {"version": manifest.version, "classes": ",".join(manifest.classes)}
    )
    return model


def _add_conv(graph: _Graph, layer: Conv, weights: Weights, name: str) -> None:
    # TensorFlow's kernels are (height, width, in, out), ONNX wants (out, in, height, width).
    kernel = np.ascontiguousarray(weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
    before, after = (layer.size - 1) // 2, layer.size // 2
    pads = [before, before, after, after] if layer.padding == "same" else [0, 0, 0, 0]
    graph.add("Conv", kernel, weights[f"{name}/bias"], pads=pads)
    graph.add("Relu" if layer.activation == "relu" else "Tanh")


def _flatten(graph: _Graph) -> bool:
    # TensorFlow flattens with channels last.
    graph.add("Transpose", perm=[0, 2, 3, 1])
    graph.add("Flatten")
    return True


def _add_dense(graph: _Graph, weights: Weights, name: str) -> None:
    graph.add("Gemm", weights[f"{name}/kernel"], weights[f"{name}/bias"])
