"""A network as an ONNX graph: what other runtimes than TensorFlow read. Needs the package onnx.

It takes crops, uint8 (n, size, size), and gives calibrated probabilities, float32 (n, classes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkmill.models.architectures import Conv, Dense, Dropout, Pool, named_layers
from inkmill.models.manifest import Manifest
from inkmill.models.weights import Weights

#: The name of the last product's weights.
LOGITS = "logits"
#: ONNX operator set 17 is known to every runtime since 2022.
_OPSET = 17


class Graph:
    """A network's ONNX graph, in float32, that grows one node after another.

    `written` walks the layers; what each becomes is a method here, for another one to override.
    """

    def __init__(self, manifest: Manifest, weights: Weights) -> None:
        self.manifest = manifest
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.last = "crops"

    def constant(self, value: NDArray[Any]) -> str:
        """The name of a new constant."""
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node; returns the name of what it gives."""
        from onnx import helper

        output = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def add(self, kind: str, *constants: NDArray[Any], **attributes: Any) -> None:
        """Append a node that takes the last output, then constants."""
        names = [self.constant(value) for value in constants]
        self.last = self.node(kind, [self.last, *names], **attributes)

    def start(self) -> None:
        """Crops, uint8 (n, size, size), become pictures, (n, 1, size, size), of 0 to 1."""
        from onnx import TensorProto

        self.add("Cast", to=TensorProto.FLOAT)
        self.add("Mul", np.array(1 / 255, np.float32))
        self.pictures()

    def pictures(self) -> None:
        """Append the channel's dimension."""
        size = self.manifest.input_size
        self.add("Reshape", np.array([-1, 1, size, size], np.int64))

    def convolve(self, layer: Conv, name: str) -> None:
        """Append the convolution of that name, with bias and activation."""
        # TensorFlow's kernels are (height, width, in, out), ONNX wants (out, in, height, width).
        kernel = np.ascontiguousarray(self.weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
        before, after = (layer.size - 1) // 2, layer.size // 2
        pads = [before, before, after, after] if layer.padding == "same" else [0, 0, 0, 0]
        self.product("Conv", name, kernel, pads=pads)
        self.activate(layer)

    def dense(self, layer: Dense, name: str) -> None:
        """Append the dense layer of that name, with bias and activation."""
        self.product("Gemm", name, self.weights[f"{name}/kernel"])
        self.activate(layer)

    def product(self, kind: str, name: str, kernel: NDArray[np.float32], **attributes: Any) -> None:
        """Append a node that multiplies by a kernel, and adds the bias of the layer of that name.

        The kernel is (out, in, height, width) for "Conv", (in, out) for "Gemm".
        """
        self.add(kind, kernel, self.weights[f"{name}/bias"], **attributes)

    def activate(self, layer: Conv | Dense) -> None:
        """Append a layer's activation."""
        self.add("Relu" if layer.activation == "relu" else "Tanh")

    def flatten(self) -> None:
        """Pictures become vectors; TensorFlow flattens with channels last."""
        self.add("Transpose", perm=[0, 2, 3, 1])
        self.add("Flatten")


def onnx_model(manifest: Manifest, weights: Weights) -> Any:
    """The network as an ONNX model in float32, written node by node."""
    return written(Graph(manifest, weights))


def written(graph: Graph) -> Any:
    """The ONNX model of the network that an empty graph is for."""
    manifest, flat = graph.manifest, False
    graph.start()
    for name, layer in named_layers(manifest.layers):
        match layer:
            case Conv():
                graph.convolve(layer, name)
            case Pool(side, how):
                kind = "MaxPool" if how == "max" else "AveragePool"
                graph.add(kind, kernel_shape=[side, side], strides=[side, side])
            case Dense():
                if not flat:
                    graph.flatten()
                flat = True
                graph.dense(layer, name)
            case Dropout():
                pass
    if not flat:
        graph.flatten()
    graph.product("Gemm", LOGITS, graph.weights[f"{LOGITS}/kernel"])
    _calibrate(graph)
    return _as_model(graph)


def _calibrate(graph: Graph) -> None:
    """Logits become calibrated probabilities, the model's output."""
    manifest = graph.manifest
    graph.add("Div", np.array(manifest.temperature, np.float32))
    graph.add("Softmax", axis=1)
    if manifest.floor:
        graph.add("Mul", np.array(1 - manifest.floor, np.float32))
        graph.add("Add", np.array(manifest.floor / len(manifest.classes), np.float32))
    graph.nodes[-1].output[0] = "probabilities"


def _as_model(graph: Graph) -> Any:
    """The finished graph with its input and output, version and classes."""
    from onnx import TensorProto, helper

    manifest = graph.manifest
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
