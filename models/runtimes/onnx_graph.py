"""A network as an ONNX graph: what other runtimes than TensorFlow read. Needs the package onnx.

It takes crops, uint8 (n, size, size), and gives calibrated probabilities, float32 (n, classes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.models.architectures import Conv, Dense, Dropout, Pool
from inkmill.models.manifest import Manifest
from inkmill.models.weights import Weights

#: ONNX operator set 17 is known to every runtime since 2022.
_OPSET = 17


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
    if manifest.floor:
        graph.add("Mul", np.array(1 - manifest.floor, np.float32))
        graph.add("Add", np.array(manifest.floor / len(manifest.classes), np.float32))
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
